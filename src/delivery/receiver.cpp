// SPDX-License-Identifier: Apache-2.0
#include "delivery/receiver.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "delivery/sender.hpp"

namespace kith {
inline namespace v0 {
namespace detail {

void retain(Chunk* chunk, Origin* origin) noexcept {
    if (chunk != nullptr) chunk->retain();
    origin->refs.fetch_add(1, std::memory_order_relaxed);
}
void release(Chunk* chunk, Origin* origin) noexcept {
    if (chunk != nullptr) chunk->release();
    origin->release();
}
const PeerId& origin_peer(const Origin& origin) noexcept { return origin.peer; }
std::string_view origin_channel(const Origin& origin) noexcept { return origin.channel; }
std::string_view origin_path(const Origin& origin) noexcept { return origin.path; }

}  // namespace detail
}  // namespace v0
}  // namespace kith

namespace kith::delivery {

void Batch::clear() noexcept {
    messages.clear();
    for (auto* chunk : chunks) chunk->release();
    chunks.clear();
    for (auto* origin : origins) origin->release();
    origins.clear();
}

void Batch::hold(detail::Origin* origin) {
    if (!origins.empty() && origins.back() == origin) return;
    origin->refs.fetch_add(1, std::memory_order_relaxed);
    origins.push_back(origin);
}

Packer::~Packer() {
    if (chunk_ != nullptr) chunk_->release();
}

void Packer::add(Batch& batch, ByteView bytes, Delivered message) {
    if (bytes.size() > ChunkPool::chunk_size / 4) {
        adopt(batch, Bytes(bytes.begin(), bytes.end()), message);
        return;
    }
    if (chunk_ == nullptr || chunk_->room() < bytes.size()) {
        if (chunk_ != nullptr) chunk_->release();
        chunk_ = pool_.take();
        listed_ = nullptr;
    }
    if (listed_ != chunk_) {
        chunk_->retain();
        batch.chunks.push_back(chunk_);
        listed_ = chunk_;
    }
    auto* at = chunk_->bytes.data() + chunk_->used;
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    chunk_->used += bytes.size();
    message.chunk = chunk_;
    message.bytes = {at, bytes.size()};
    batch.hold(message.origin);
    batch.messages.push_back(message);
}

void Packer::adopt(Batch& batch, Bytes&& bytes, Delivered message) {
    auto* chunk = ChunkPool::adopt(std::move(bytes));
    batch.chunks.push_back(chunk);
    message.chunk = chunk;
    message.bytes = chunk->bytes;
    batch.hold(message.origin);
    batch.messages.push_back(message);
}

struct Receiver::Row {
    std::string channel;
    std::uint8_t strength = 1;
    std::uint8_t priority = 1;
    std::uint64_t epoch = 0;
    std::uint32_t generation = 0;  // counts epochs: an answer of the application to an older one is void
    std::uint64_t have = 0;
    std::uint64_t done = 0;
    bool known = false;  // a message of `epoch` was taken

    detail::Origin* origin = nullptr;
    Bytes partial;  // of message have + 1
    std::uint64_t partial_total = 0;

    std::size_t window = 0;
    std::uint64_t taken = 0;         // cost of what came on this attachment
    std::uint64_t limit = 0;         // what the sender was told
    std::uint64_t held = 0;          // cost of what is not consumed
    std::uint64_t acked = 0;         // last `done` that was told
    std::uint64_t since_ack = 0;     // cost consumed since then
    std::uint64_t ack_now_from = 0;  // the number of the last message that asked for an answer at once
    bool due = false;                // listed in due_
    std::uint32_t lane = 0;
    bool attached = false;

    // Messages of earlier epochs that the application has not consumed. They keep counting, or a peer that begins one epoch
    // after the other could fill the memory.
    struct Era {
        std::uint32_t generation = 0;
        std::uint64_t done = 0;
        std::uint64_t have = 0;
    };
    std::deque<Era> old;

    // Costs of the unconsumed messages: those of `old`, then done + 1 .. have.
    Ring<std::uint32_t> costs;

    void consume(std::uint64_t& level, std::uint64_t seq) {
        for (; level < seq; ++level) {
            held -= costs.front();
            since_ack += costs.front();
            costs.pop();
        }
    }
    std::uint64_t credit() const noexcept { return taken + window > held ? taken + window - held : 0; }

    ~Row() {
        if (origin != nullptr) origin->release();
    }
};

Receiver::Receiver(const ReceiverConfig& config, const PeerId& peer) : config_(config), peer_(peer) {}
Receiver::~Receiver() = default;

Status Receiver::opened(StreamRef ref, std::string_view path) {
    const auto waiting = std::count_if(streams_.begin(), streams_.end(), [this](const auto& s) { return s->ref != current_; });
    if (static_cast<std::size_t>(waiting) >= config_.max_streams)
        return Error{Errc::limit_exceeded, "too many message streams of one peer"};
    auto stream = std::make_unique<Stream>();
    stream->ref = ref;
    stream->path = path;
    streams_.push_back(std::move(stream));
    return {};
}

void Receiver::closed(StreamRef ref) {
    std::erase_if(streams_, [&](const auto& s) { return s->ref == ref; });
    if (current_ != ref) return;
    current_ = {};
    lanes_.clear();
    control_.clear();
    control_sent_ = 0;
    due_.clear();
    ack_at_.reset();
    ack_now_ = false;
    for (auto& row : rows_) {
        row->attached = false;
        row->due = false;
        row->partial = Bytes{};  // `= {}` would keep the memory
        row->partial_total = 0;
    }
}

Status Receiver::received(StreamRef ref, ByteView bytes, Instant now, Packer& packer, Batch& batch) {
    const auto it = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s->ref == ref; });
    if (it == streams_.end()) return {};  // fenced off: late bytes are noise
    auto& stream = **it;
    wire::Frame frame;
    for (;;) {
        switch (stream.reader.next(bytes, frame)) {
            case wire::FrameReader::State::need_more:
                return {};
            case wire::FrameReader::State::bad:
                return stream.reader.error();
            case wire::FrameReader::State::frame:
                break;
        }
        if (auto ok = on_frame(stream, frame, now, packer, batch); !ok) return ok;
    }
}

Receiver::Lane* Receiver::lane(std::uint32_t id) noexcept {
    if (id < lanes_.size() && lanes_[id].id == id) return &lanes_[id];  // senders count from 0
    const auto it = std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& l) { return l.id == id; });
    return it == lanes_.end() ? nullptr : &*it;
}

Status Receiver::on_frame(Stream& stream, const wire::Frame& frame, Instant now, Packer& packer, Batch& batch) {
    const auto type = static_cast<wire::FrameType>(frame.type);
    if (stream.ref != current_) {
        if (type != wire::FrameType::hello) return Error{Errc::protocol_error, "the first frame of a message stream is not HELLO"};
        if (!hello_allowed(now)) return Error{Errc::limit_exceeded, "too many HELLOs of one peer"};  // the current stream stays
        auto hello = wire::decode_hello(frame.body);
        return hello ? on_hello(stream, *hello) : Status{hello.error()};
    }
    switch (type) {
        case wire::FrameType::data: {
            const auto data = wire::decode_data(frame.body);
            if (!data) return data.error();
            const auto* known = lane(frame.lane);
            if (known == nullptr) return Error{Errc::protocol_error, "DATA of a lane that was not announced"};
            return on_data(*known, *data, now, packer, batch);
        }
        case wire::FrameType::add: {
            auto added = wire::decode_add(frame.lane, frame.body);
            if (!added) return added.error();
            auto joined = join(stream, *added, true);
            if (!joined) return joined.error();
            wire::append_resume(control_, {0, config_.max_message, config_.instance, {*joined}});
            return {};
        }
        case wire::FrameType::datagram: {
            const auto datagram = wire::decode_datagram(frame.body);
            if (!datagram) return datagram.error();
            if (datagram->bytes.size() > config_.max_message) return Error{Errc::protocol_error, "DGRAM above the message limit"};
            auto* origin = new detail::Origin;  // released below; the batch holds its own reference
            origin->peer = peer_;
            origin->channel = datagram->channel;
            origin->path = stream.path;
            packer.add(batch, datagram->bytes, {.origin = origin});
            origin->release();
            return {};
        }
        case wire::FrameType::hello:
            return Error{Errc::protocol_error, "HELLO came twice"};
        case wire::FrameType::close:
            return Error{Errc::going_away, "the peer closed the message stream"};
        default:
            if ((frame.type & 1) != 0) return {};
            return Error{Errc::not_supported, "the peer sent an unknown critical frame"};
    }
}

bool Receiver::hello_allowed(Instant now) noexcept {
    const auto paid = std::chrono::duration<double>(now - hello_at_).count() * config_.hellos_per_second;
    hellos_ = std::max(0.0, hellos_ - std::max(0.0, paid));
    hello_at_ = now;
    if (hellos_ + 1 > config_.hello_burst) {
        ++hellos_refused_;
        return false;
    }
    hellos_ += 1;
    return true;
}

Status Receiver::on_hello(Stream& stream, const wire::Hello& hello) {
    const auto former = current_;
    if (former) {
        closed(former);
        fenced_ = former;
    }
    current_ = stream.ref;
    wire::Resume resume;
    resume.max_message = config_.max_message;
    resume.instance = config_.instance;
    for (const auto& lane : hello.lanes) {
        auto joined = join(stream, lane, false);
        if (!joined) return joined.error();
        resume.lanes.push_back(*joined);
    }
    wire::append_resume(control_, resume);
    return {};
}

Result<wire::ResumeLane> Receiver::join(const Stream& stream, const wire::HelloLane& lane, bool added) {
    if (this->lane(lane.id) != nullptr) return Error{Errc::protocol_error, "a lane was announced twice"};
    if (lane.strength != static_cast<std::uint8_t>(Strength::reliable))
        return Error{Errc::not_supported, "this node takes no durable messages"};
    auto it = std::find_if(rows_.begin(), rows_.end(), [&](const auto& r) {
        return r->channel == lane.channel && r->strength == lane.strength && r->priority == lane.priority;
    });
    if (it == rows_.end()) {
        if (rows_.size() >= config_.max_rows) return Error{Errc::limit_exceeded, "too many channels of one peer"};
        auto made = std::make_unique<Row>();
        made->channel = lane.channel;
        made->strength = lane.strength;
        made->priority = lane.priority;
        // Large windows go to the first lanes; every lane can take at least one message of the largest size.
        const auto least = config_.max_message + cost_per_message;
        made->window = granted_ + config_.lane_window <= config_.peer_window ? std::max(config_.lane_window, least) : least;
        granted_ += made->window;
        rows_.push_back(std::move(made));
        it = rows_.end() - 1;
    }
    auto& row = **it;
    if (row.attached) return Error{Errc::protocol_error, "two lanes of the same channel and priority"};
    const auto index = static_cast<std::uint32_t>(it - rows_.begin());
    if (row.origin == nullptr || row.origin->path != stream.path) {
        auto* origin = new detail::Origin;  // counted
        origin->peer = peer_;
        origin->channel = row.channel;
        origin->path = stream.path;
        if (row.origin != nullptr) row.origin->release();
        row.origin = origin;
    }
    wire::ResumeLane out;
    out.id = lane.id;
    if (!row.known) {
        out.state = wire::ResumeState::none;
    } else if (row.epoch != lane.epoch) {
        out.state = wire::ResumeState::other;
    } else {
        out.state = row.have + 1 < lane.first ? wire::ResumeState::gap : wire::ResumeState::known;
        out.have = row.have;
        out.done = row.done;
        out.processed = row.done;
    }
    if (out.state == wire::ResumeState::gap) return Error{Errc::protocol_error, "messages before the first of a lane are missing here"};
    row.attached = true;
    row.lane = lane.id;
    row.taken = 0;
    row.limit = row.credit();
    row.acked = row.done;
    row.since_ack = 0;
    row.partial = Bytes{};
    row.partial_total = 0;
    out.limit = row.limit;
    lanes_.push_back({lane.id, index, lane.first, lane.epoch, added});
    return out;
}

Status Receiver::on_data(const Lane& lane, const wire::Data& data, Instant, Packer& packer, Batch& batch) {
    auto& row = *rows_[lane.row];
    const bool fresh = !row.known || row.epoch != lane.epoch;
    if (data.seq != (fresh ? lane.first : row.have + 1)) {
        ++resyncs_;
        return Error{Errc::protocol_error, "a message is missing or came twice on one stream"};
    }
    if (data.total > config_.max_message) return Error{Errc::protocol_error, "a message is larger than the limit that RESUME told"};
    const auto cost = data.total + cost_per_message;
    if (data.offset == 0) {
        row.taken += cost;
        // A new lane may send a little before it knows its credit; once, not with each of many streams.
        const bool early = lane.added && row.taken <= early_bytes && row.held + cost <= row.window + early_bytes;
        if (row.taken > row.limit && !early) return Error{Errc::protocol_error, "the peer sent more than its credit"};
    }
    if (fresh) {  // the first message of an epoch makes the row
        if (row.have > row.done) row.old.push_back({row.generation, row.done, row.have});
        row.known = true;
        row.epoch = lane.epoch;
        ++row.generation;
        row.have = lane.first - 1;
        row.done = lane.first - 1;
        row.acked = row.done;
        row.ack_now_from = 0;
    }
    Delivered message{.origin = row.origin,
                      .seq = data.seq,
                      .source = config_.source,
                      .row = lane.row,
                      .generation = row.generation,
                      .repeat = (data.flags & wire::data_flag::repeat) != 0};
    if ((data.flags & wire::data_flag::fragment) != 0) {
        if (data.offset != row.partial.size() || (data.offset != 0 && data.total != row.partial_total)) {
            return Error{Errc::protocol_error, "a fragment does not continue its message"};
        }
        row.partial_total = data.total;
        // Grows with what came, never with what was announced alone: by four, so that a message of some records is moved once or twice.
        const auto needed = row.partial.size() + data.bytes.size();
        if (row.partial.capacity() < needed)
            row.partial.reserve(std::max<std::size_t>(needed, std::min<std::size_t>(data.total, 4 * needed)));
        row.partial.insert(row.partial.end(), data.bytes.begin(), data.bytes.end());
        if (row.partial.size() < data.total) return {};
        Packer::adopt(batch, std::exchange(row.partial, {}), message);
        row.partial_total = 0;
    } else {
        if (row.partial_total != 0) return Error{Errc::protocol_error, "a message began inside another one"};
        packer.add(batch, data.bytes, message);
    }
    row.have = data.seq;
    row.held += cost;
    if (!row.costs.push(static_cast<std::uint32_t>(cost))) return Errc::internal;  // bounded by credit
    if ((data.flags & wire::data_flag::ack_now) != 0) row.ack_now_from = data.seq;
    return {};
}

void Receiver::consumed(std::uint32_t index, std::uint32_t generation, std::uint64_t seq, Instant now) {
    if (index >= rows_.size()) return;
    auto& row = *rows_[index];
    const bool current = row.generation == generation;
    if (current && (seq <= row.done || seq > row.have)) return;
    // In order: who consumed something of a later epoch has consumed all before it.
    while (!row.old.empty() && (current || row.old.front().generation < generation)) {
        row.consume(row.old.front().done, row.old.front().have);
        row.old.pop_front();
    }
    if (current) {
        row.consume(row.done, seq);
    } else {
        if (row.old.empty() || row.old.front().generation != generation) return;
        auto& era = row.old.front();
        row.consume(era.done, std::min(seq, era.have));
        if (era.done == era.have) row.old.pop_front();
    }
    if (!row.attached) return;
    const bool asked = row.ack_now_from > row.acked && row.ack_now_from <= row.done;
    answer_due(row, asked || row.since_ack * 4 >= row.window ? now : now + config_.ack_delay);
}

void Receiver::answer_due(Row& row, Instant at) {
    if (!row.due) {
        row.due = true;
        for (std::uint32_t i = 0; i < rows_.size(); ++i) {
            if (rows_[i].get() == &row) due_.push_back(i);
        }
    }
    if (!ack_at_ || at < *ack_at_) ack_at_ = at;
}

bool Receiver::wants_fill(Instant now) const noexcept {
    if (!current_) return false;
    return control_sent_ < control_.size() || (ack_at_ && *ack_at_ <= now);
}

Receiver::Filled Receiver::fill(MutableBytes out, Instant now) {
    if (!current_) return {};
    if (ack_at_ && *ack_at_ <= now) {
        for (const auto index : due_) {
            auto& row = *rows_[index];
            row.due = false;
            if (row.done > row.acked) wire::append_ack(control_, row.lane, row.done, row.done);
            row.acked = row.done;
            row.since_ack = 0;
            const auto limit = row.credit();
            if (limit > row.limit) wire::append_limit(control_, row.lane, limit);
            row.limit = std::max(row.limit, limit);
        }
        due_.clear();
        ack_at_.reset();
    }
    Filled filled;
    filled.bytes = std::min(out.size(), control_.size() - control_sent_);
    if (filled.bytes != 0) std::memcpy(out.data(), control_.data() + control_sent_, filled.bytes);
    control_sent_ += filled.bytes;
    filled.more = control_sent_ < control_.size();
    if (!filled.more) {
        control_.clear();
        if (control_.capacity() > kept_control) control_ = Bytes{};
        control_sent_ = 0;
    }
    return filled;
}

std::size_t Receiver::memory() const noexcept {
    std::size_t sum = control_.capacity();
    for (const auto& row : rows_) sum += sizeof(Row) + row->held + row->partial.capacity();
    return sum;
}

}  // namespace kith::delivery
