// SPDX-License-Identifier: Apache-2.0
// Streams, attachment and rows.
#include "delivery/receiver.hpp"

#include <algorithm>
#include <cstring>

#include "base/mutant.hpp"
#include "delivery/receiver_row.hpp"

namespace kith::delivery {
namespace {

constexpr std::size_t worth_keeping = 16 * 1024;  // less of a message than this is simply sent again

}  // namespace

Receiver::Receiver(const ReceiverConfig& config, Journal& journal, const PeerId& peer, ByteView peer_bytes)
    : config_(config), journal_(journal), peer_(peer), peer_bytes_(peer_bytes.begin(), peer_bytes.end()) {}
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
    hello_.reset();
    added_.clear();
    lanes_.clear();
    control_.clear();
    control_sent_ = 0;
    due_.clear();
    ack_at_.reset();
    // The beginning of a large message is kept for the next attachment, as far as that is worth it and not too much in all.
    std::size_t kept = 0;
    for (auto& row : rows_) {
        row->attached = false;
        row->due = false;
        row->busy = 0;
        if (planted(Mutant::forget_unsettled_row) && !row->settled) row->known = false;
        if (row->partial.size() < worth_keeping || kept + row->partial.size() > config_.kept_partials) row->drop_partial();
        kept += row->partial.size();
    }
}

std::size_t Receiver::partials() const noexcept {
    std::size_t sum = 0;
    for (const auto& row : rows_) sum += row->attached ? 0 : row->partial.capacity();
    return sum;
}

void Receiver::drop_partials() {
    for (auto& row : rows_) {
        if (!row->attached) row->drop_partial();
    }
}

Status Receiver::received(StreamRef ref, ByteView bytes, Instant now, Packer& packer, Batch& batch) {
    const auto it = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s->ref == ref; });
    if (it == streams_.end()) return {};  // fenced off: late bytes are noise
    auto& stream = **it;
    wire::Frame frame;
    while (!stream.refused) {
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
    return {};
}

Receiver::Lane* Receiver::lane(std::uint32_t id) noexcept {
    if (id < lanes_.size() && lanes_[id].id == id) return &lanes_[id];  // senders count from 0
    const auto it = std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& l) { return l.id == id; });
    return it == lanes_.end() ? nullptr : &*it;
}

Status Receiver::on_frame(Stream& stream, const wire::Frame& frame, Instant now, Packer& packer, Batch& batch) {
    const auto type = static_cast<wire::FrameType>(frame.type);
    if (stream.ref != current_ &&
        !((planted(Mutant::no_fence) || planted(Mutant::number_not_checked)) && current_ && type != wire::FrameType::hello)) {
        if (type != wire::FrameType::hello) return Error{Errc::protocol_error, "the first frame of a message stream is not HELLO"};
        if (!hello_allowed(now)) return Error{Errc::limit_exceeded, "too many HELLOs of one peer"};  // the current stream stays
        auto hello = wire::decode_hello(frame.body);
        return hello ? on_hello(stream, std::move(*hello)) : Status{hello.error()};
    }
    switch (type) {
        case wire::FrameType::data: {
            const auto data = wire::decode_data(frame.body);
            if (!data) return data.error();
            const auto* known = lane(frame.lane);
            if (known == nullptr) return Error{Errc::protocol_error, "DATA of a lane that was not announced"};
            if (!known->taken) return Error{Errc::protocol_error, "DATA of a lane without credit"};
            return on_data(*known, *data, now, packer, batch);
        }
        case wire::FrameType::skip: {
            const auto skip = wire::decode_skip(frame.body);
            if (!skip) return skip.error();
            const auto* known = lane(frame.lane);
            if (known == nullptr) return Error{Errc::protocol_error, "SKIP of a lane that was not announced"};
            if (!known->taken) return {};  // it needs no credit; said again at the next attachment
            return on_skip(*known, *skip, now);
        }
        case wire::FrameType::mark: {
            const auto mark = wire::decode_two(frame.body);
            if (!mark) return mark.error();
            const auto* known = lane(frame.lane);
            if (known == nullptr) return Error{Errc::protocol_error, "MARK of a lane that was not announced"};
            if (!known->taken) {
                wire::append_ack(control_, frame.lane, 0, 0);
                return {};
            }
            return on_mark(*known, *mark, now);
        }
        case wire::FrameType::add: {
            auto added = wire::decode_add(frame.lane, frame.body);
            return added ? on_add(std::move(*added)) : Status{added.error()};
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

// ---- attachment

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

Status Receiver::on_hello(Stream& stream, wire::Hello&& hello) {
    const auto former = current_;
    if (former && (planted(Mutant::no_fence) || planted(Mutant::number_not_checked))) {
        lanes_.clear();
        for (auto& row : rows_) row->attached = false;
    } else if (former) {
        closed(former);
        fenced_ = former;
    }
    current_ = stream.ref;
    path_ = stream.path;
    // What is on its way to the disk decides what the answer is.
    if (settled_on_disk()) return answer(hello);
    hello_ = std::move(hello);
    return {};
}

Status Receiver::on_add(wire::HelloLane&& lane) {
    if (!hello_) return answer(lane);
    if (added_.size() >= config_.max_rows) return Error{Errc::protocol_error, "too many lanes"};
    added_.push_back(std::move(lane));
    return {};
}

Status Receiver::answer(const wire::Hello& hello) {
    wire::Resume resume;
    resume.max_message = config_.max_message;
    for (const auto& lane : hello.lanes) {
        auto joined = join(lane, false);
        if (!joined) return joined.error() == Errc::limit_exceeded ? refuse(joined.error().what) : Status{joined.error()};
        resume.lanes.push_back(*joined);
    }
    resume.instance = config_.instance;
    wire::append_resume(control_, resume);
    return {};
}

Status Receiver::answer(const wire::HelloLane& added) {
    auto joined = join(added, true);
    if (!joined) return joined.error() == Errc::limit_exceeded ? refuse(joined.error().what) : Status{joined.error()};
    wire::append_resume(control_, {0, config_.max_message, config_.instance, {*joined}});
    return {};
}

void Receiver::allow_durable(bool allowed) {
    config_.durable = allowed;
    if (!allowed || std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane.taken; })) return;
    (void)refuse("durable messages are taken now");
}

// Says why, and looks at nothing more on this stream.
Status Receiver::refuse(std::string_view why) {
    wire::append_close(control_, 1, why);
    for (auto& stream : streams_) {
        if (stream->ref == current_) stream->refused = true;
    }
    return {};
}

void Receiver::set_origin(Row& row) {
    if (row.origin != nullptr && row.origin->path == path_) return;
    auto* origin = new detail::Origin;  // counted
    origin->peer = peer_;
    origin->channel = row.channel;
    origin->path = path_;
    if (row.origin != nullptr) row.origin->release();
    row.origin = origin;
}

Result<wire::ResumeLane> Receiver::join(const wire::HelloLane& lane, bool added) {
    if (this->lane(lane.id) != nullptr) return Error{Errc::protocol_error, "a lane was announced twice"};
    const bool durable = lane.strength == static_cast<std::uint8_t>(Strength::durable);
    if (durable && !config_.durable) {
        if (lanes_.size() >= config_.max_rows) return Error{Errc::limit_exceeded, "too many channels of one peer"};
        lanes_.push_back({.id = lane.id, .first = lane.first, .epoch = lane.epoch, .added = added, .taken = false});
        wire::ResumeLane none;
        none.id = lane.id;
        none.state = wire::ResumeState::none;
        return none;
    }
    const auto index = row_of(lane, added);
    if (!index) return index.error();
    auto& row = *rows_[*index];
    if (row.attached) return Error{Errc::protocol_error, "two lanes of the same channel and priority"};
    set_origin(row);
    wire::ResumeLane out;
    out.id = lane.id;
    if (!row.known) {
        out.state = wire::ResumeState::none;
    } else if (row.epoch != lane.epoch) {
        out.state = wire::ResumeState::other;
    } else {
        out.state = row.have + 1 < lane.first ? wire::ResumeState::gap : wire::ResumeState::known;
        out.have = row.have;
        out.done = row.done();
        out.processed = row.durable() ? std::min(row.processed, out.done) : out.done;
        out.mid = row.committed_mid;
        row.settled = lane.settled >= row.have;
    }
    const bool gap = out.state == wire::ResumeState::gap;
    if (gap && !durable) return Error{Errc::protocol_error, "messages before the first of a lane are missing here"};
    const bool continues = out.state == wire::ResumeState::known && row.have + 1 >= lane.first;
    if (!continues) row.drop_partial();
    out.partial = row.partial.size();
    row.partial_paid = false;
    row.attached = true;
    row.begun = out.state == wire::ResumeState::known;
    row.lane_first = lane.first;
    row.used = ++uses_;
    row.lane = lane.id;
    row.taken = 0;
    row.limit = row.credit(config_.inbox_bytes);
    row.acked = row.done();
    row.since_ack = 0;
    row.answer = false;
    out.limit = row.limit;
    lanes_.push_back({lane.id, *index, lane.first, lane.epoch, added, gap});
    return out;
}

// ---- rows

// Large windows go to the first rows; every one can take at least one message of the largest size.
void Receiver::grant(Row& row) {
    const auto least = config_.max_message + cost_per_message;
    row.window = granted_ + config_.lane_window <= config_.peer_window ? std::max(config_.lane_window, least) : least;
    granted_ += row.window;
}

Result<std::uint32_t> Receiver::row_of(const wire::HelloLane& lane, bool added) {
    for (const auto& row : rows_) {
        if (row->channel == lane.channel && row->strength == lane.strength && row->priority == lane.priority) return row->index;
    }
    auto made = std::make_unique<Row>();
    made->channel = lane.channel;
    made->strength = lane.strength;
    made->priority = lane.priority;
    if (rows_.size() >= config_.max_rows) {
        auto place = forget_one(true);
        if (!place && !added) {
            place = forget_one(false);
            if (place) {  // whoever goes on with it must learn that this memory is another one
                ++forgotten_;
                config_.instance += 0x9E3779B97F4A7C15ULL;
            }
        }
        if (!place) return Error{Errc::limit_exceeded, "too many channels of one peer"};
        made->index = *place;
        made->generation = rows_[*place]->generation + 1;
        granted_ -= rows_[*place]->window;
        grant(*made);
        rows_[*place] = std::move(made);
        return *place;
    }
    made->index = static_cast<std::uint32_t>(rows_.size());
    grant(*made);
    rows_.push_back(std::move(made));
    return rows_.back()->index;
}

// The row that was used longest ago, is not in use, and holds nothing. An unsettled durable one is never forgotten.
std::optional<std::uint32_t> Receiver::forget_one(bool settled_only) {
    Row* oldest = nullptr;
    for (auto& entry : rows_) {
        auto& row = *entry;
        if (row.attached || !row.costs.empty() || !row.pending.empty() || row.inbox_messages != 0) continue;
        if (row.known && !row.settled && (settled_only || row.durable())) continue;
        if (oldest == nullptr || row.used < oldest->used) oldest = &row;
    }
    if (oldest == nullptr) return std::nullopt;
    if (oldest->key != 0) journal_.add(storage::DropIn{oldest->key});
    return oldest->index;
}

bool Receiver::has_durable() const noexcept {
    return std::any_of(rows_.begin(), rows_.end(), [](const auto& row) { return row->durable(); });
}

std::size_t Receiver::memory() const noexcept {
    std::size_t sum = control_.capacity();
    for (const auto& row : rows_) sum += sizeof(Row) + row->held + row->partial.capacity() + row->at_application_bytes;
    return sum;
}

}  // namespace kith::delivery
