// SPDX-License-Identifier: Apache-2.0
#include "discovery/mdns.hpp"

#include <algorithm>
#include <utility>

namespace kith::discovery {

namespace dns = wire::dns;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::array burst{seconds{1}, seconds{2}};  // between the first queries: at 0, 1 and 3 s
constexpr milliseconds shared_delay_low{20};         // RFC 6762 6: many nodes answer the same question
constexpr milliseconds shared_delay_high{120};
constexpr milliseconds truncated_delay_low{400};  // RFC 6762 7.2: more known answers follow
constexpr milliseconds truncated_delay_high{500};
constexpr seconds spacing{1};
constexpr milliseconds probe_spacing{250};
constexpr unsigned unicast_per_second = 20;
constexpr std::size_t query_room = 1300;  // bytes of known answers

// Of a label that no other node will have picked.
bool is_peer_name(std::string_view name) {
    return name.size() >= 32 && name.size() <= dns::max_label &&
           std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

}  // namespace

Result<Mdns> Mdns::create(MdnsConfig config) {
    if (config.self.kind() != PeerId::Kind::key) return Error{Errc::invalid_argument, "mDNS announces a peer id of a key"};
    if (!is_peer_name(config.peer_name)) return Error{Errc::invalid_argument, "the mDNS peer name is 32 to 63 characters of a-z0-9"};
    if (config.query_interval < seconds{1}) return Error{Errc::invalid_argument, "the mDNS query interval is at least one second"};
    if (config.ttl < seconds{2} || config.ttl > seconds{86400}) return Error{Errc::invalid_argument, "the mDNS ttl is 2 to 86400 seconds"};
    return Mdns{std::move(config)};
}

Mdns::Mdns(MdnsConfig config)
    : config_(std::move(config)),
      records_(config_.self, config_.peer_name, static_cast<std::uint32_t>(config_.ttl.count())),
      peers_(config_.self, records_.service(), records_.instance(), config_.max_peers),
      random_(config_.seed) {
    records_.set_addresses(std::exchange(config_.addresses, {}));
}

void Mdns::start(Instant now) {
    if (std::exchange(started_, true)) return;
    queries_sent_ = 0;
    next_query_ = now;
    for (const auto& entry : records_.addresses()) find_interface(entry.interface);
    tick(now);
}

void Mdns::stop() {
    if (!std::exchange(started_, false)) return;
    // Nothing that was due is sent any more: an answer behind the goodbye would revive us.
    for (const auto& interface : interfaces_) {
        if (is_named(interface) && records_.response(RecordGroup::meta, interface.index)) {
            push(interface.index, MdnsPacket::To::both_groups, {}, records_.goodbye());
        }
    }
    interfaces_.clear();
    peers_.clear();
    next_query_.reset();
    next_announcement_.reset();
}

void Mdns::set_addresses(std::vector<InterfaceAddresses> addresses, Instant now) {
    std::vector<InterfaceIndex> answered;
    for (const auto& interface : interfaces_) {
        if (is_named(interface) && records_.response(RecordGroup::meta, interface.index)) answered.push_back(interface.index);
    }
    if (!records_.set_addresses(std::move(addresses)) || !started_) return;
    for (const auto index : answered) {
        if (!records_.response(RecordGroup::meta, index)) push(index, MdnsPacket::To::both_groups, {}, records_.goodbye());
    }
    for (const auto& entry : records_.addresses()) find_interface(entry.interface);
    // RFC 6762 8.3: an announcement is sent twice, for the first may be lost.
    announce(now, random_delay(shared_delay_low, shared_delay_high));
    next_announcement_ = now + spacing;
}

void Mdns::received(InterfaceIndex interface, const Endpoint& from, ByteView packet, Instant now) {
    if (!started_) return;
    ++stats_.packets_received;
    const auto message = dns::decode(packet);
    if (!message) {
        ++stats_.packets_malformed;
        return;
    }
    if (!message->response) {
        on_query(interface, from, *message, now);
    } else {
        // RFC 6762 section 6 would have us ignore a response from another port than 5353, but rust-libp2p sends from such.
        peers_.on_response(interface, *message, now);
    }
}

void Mdns::on_query(InterfaceIndex index, const Endpoint& from, const dns::Message& query, Instant now) {
    auto* const interface = find_interface(index);
    if (interface == nullptr) return;
    const auto family = static_cast<std::size_t>(from.ip.v6 ? Family::v6 : Family::v4);
    const bool probe = records_.is_probe_of_ours(query);
    std::array<bool, record_groups> done{};  // a question may stand in a packet 256 times
    for (const auto& question : query.questions) {
        const auto group = records_.asked(question);
        if (!group || std::exchange(done[static_cast<std::size_t>(*group)], true)) continue;
        const bool legacy = from.port != mdns_port;
        if (legacy || question.unicast) {
            if (!records_.is_known(*group, query)) answer_unicast(*interface, *group, from, query, now);
            // rust-libp2p asks from any port and listens only to the groups on 5353: it needs the multicast as well.
            if (!legacy || *group != RecordGroup::service) continue;
        }
        if (!query.truncated && records_.is_known(*group, query)) continue;
        auto& answer = interface->answers[static_cast<std::size_t>(*group)][family];
        if (probe) {
            schedule(answer, nullptr, Duration{}, probe_spacing, now);
        } else {
            const auto delay = query.truncated ? random_delay(truncated_delay_low, truncated_delay_high)
                                               : random_delay(shared_delay_low, shared_delay_high);
            schedule(answer, &from, delay, spacing, now);
        }
    }
    // Known answers may come in further packets of the same asker, without a question.
    for (const auto group : {RecordGroup::service, RecordGroup::meta}) {
        auto& answer = interface->answers[static_cast<std::size_t>(group)][family];
        if (answer.due && !answer.shared && answer.asker == from && records_.is_known(group, query)) answer.due.reset();
    }
}

void Mdns::answer_unicast(Interface& interface, RecordGroup group, const Endpoint& from, const dns::Message& query, Instant now) {
    const bool legacy = from.port != mdns_port;
    const auto message = legacy ? records_.legacy_response(group, interface.index, query) : records_.response(group, interface.index);
    if (!message) return;
    if (!may_unicast(interface, now)) {
        ++stats_.answers_limited;
        return;
    }
    push(interface.index, MdnsPacket::To::unicast, from, *message);
}

// A forged sender address would make us send to it: the limit bounds what such an attack is good for.
bool Mdns::may_unicast(Interface& interface, Instant now) {
    if (!interface.refilled || now - *interface.refilled >= seconds{1}) {
        interface.refilled = now;
        interface.tokens = unicast_per_second;
    }
    if (interface.tokens == 0) return false;
    --interface.tokens;
    return true;
}

void Mdns::schedule(Answer& answer, const Endpoint* asker, Duration delay, Duration least, Instant now) {
    auto due = now + delay;
    if (answer.last) due = std::max(due, *answer.last + least);
    if (answer.due) {
        answer.due = std::min(*answer.due, due);
        answer.shared = answer.shared || asker == nullptr || answer.asker != *asker;
        return;
    }
    answer.due = due;
    answer.shared = asker == nullptr;
    answer.asker = asker == nullptr ? Endpoint{} : *asker;
}

// In the list of addresses. Others were met on the way and are served by the entry for all interfaces.
bool Mdns::is_named(const Interface& interface) const {
    const auto& list = records_.addresses();
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.interface == interface.index; });
}

void Mdns::announce(Instant now, Duration delay) {
    for (auto& interface : interfaces_) {
        if (!is_named(interface)) continue;
        for (auto& answer : interface.answers[static_cast<std::size_t>(RecordGroup::service)]) {
            schedule(answer, nullptr, delay, spacing, now);
        }
    }
}

void Mdns::send_query(Instant now) {
    dns::Message query;
    // Without the unicast bit: of several programs that share port 5353, only one would get the answer.
    query.questions.push_back({records_.service(), dns::Type::ptr, false});
    peers_.add_known_answers(query, query_room, now);
    push(0, MdnsPacket::To::both_groups, {}, query);
    next_query_ = now + (queries_sent_ < burst.size() ? Duration{burst[queries_sent_]} : config_.query_interval);
    ++queries_sent_;
    announce(now, random_delay(shared_delay_low, shared_delay_high));
}

void Mdns::tick(Instant now) {
    if (!started_) return;
    peers_.expire(now);
    if (next_query_ && *next_query_ <= now) send_query(now);
    if (next_announcement_ && *next_announcement_ <= now) {
        next_announcement_.reset();
        announce(now, random_delay(shared_delay_low, shared_delay_high));
    }
    for (auto& interface : interfaces_) send_due(interface, now);
}

void Mdns::send_due(Interface& interface, Instant now) {
    for (std::size_t group = 0; group < record_groups; ++group) {
        auto& families = interface.answers[group];
        std::array<bool, 2> due{};
        for (std::size_t family = 0; family < 2; ++family) {
            due[family] = families[family].due && *families[family].due <= now;
            if (!due[family]) continue;
            families[family].due.reset();
            families[family].last = now;
            if (interface.index != 0) continue;
            for (auto& other : interfaces_) {  // it goes out by all of them, and answers what was asked there
                other.answers[group][family].last = now;
                other.answers[group][family].due.reset();
            }
        }
        if (!due[0] && !due[1]) continue;
        const auto message = records_.response(static_cast<RecordGroup>(group), interface.index);
        if (!message) continue;
        const auto to = due[0] && due[1] ? MdnsPacket::To::both_groups : due[0] ? MdnsPacket::To::ipv4_group : MdnsPacket::To::ipv6_group;
        push(interface.index, to, {}, *message);
    }
}

void Mdns::push(InterfaceIndex interface, MdnsPacket::To to, const Endpoint& unicast, const dns::Message& message) {
    if (auto bytes = dns::encode(message)) packets_.push_back({interface, to, unicast, std::move(*bytes)});
}

Mdns::Interface* Mdns::find_interface(InterfaceIndex index) {
    const auto found = std::find_if(interfaces_.begin(), interfaces_.end(), [&](const Interface& i) { return i.index == index; });
    if (found != interfaces_.end()) return &*found;
    if (interfaces_.size() == max_interfaces) return nullptr;
    interfaces_.emplace_back().index = index;
    return &interfaces_.back();
}

// splitmix64: spreads answers in time, guards nothing.
Duration Mdns::random_delay(Duration low, Duration high) {
    random_ += 0x9E3779B97F4A7C15ULL;
    auto x = random_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    return low + Duration{static_cast<Duration::rep>(x % static_cast<std::uint64_t>((high - low).count() + 1))};
}

std::optional<Instant> Mdns::next_deadline() const {
    if (!started_) return std::nullopt;
    std::optional<Instant> out;
    const auto take = [&out](const std::optional<Instant>& at) {
        if (at && (!out || *at < *out)) out = at;
    };
    take(next_query_);
    take(next_announcement_);
    take(peers_.next_expiry());
    for (const auto& interface : interfaces_) {
        for (const auto& families : interface.answers) {
            for (const auto& answer : families) take(answer.due);
        }
    }
    return out;
}

std::vector<MdnsPacket> Mdns::take_packets() { return std::exchange(packets_, {}); }
std::vector<PeerId> Mdns::take_lost() { return peers_.take_lost(); }
std::vector<FoundPeer> Mdns::take_found() { return peers_.take_found(); }

MdnsStats Mdns::stats() const noexcept {
    auto out = stats_;
    out.peers_refused = peers_.refused();
    return out;
}

}  // namespace kith::discovery
