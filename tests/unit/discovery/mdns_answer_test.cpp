// SPDX-License-Identifier: Apache-2.0
// What one node sends, and when.
#include <algorithm>
#include <set>

#include "support.hpp"

namespace kith::discovery {
namespace {

namespace dns = wire::dns;
using To = MdnsPacket::To;

const dns::Name own = instance('b');
const dns::Name host = dns::Name::join(run_name('b'), name("local")).value();

// A node that has said all of its own and now only answers; its next query is seconds away.
struct Quiet {
    Mdns mdns;
    Instant now = at(seconds{5});

    explicit Quiet(MdnsConfig c = config(1, {address("/ip4/192.0.2.1/tcp/4001")})) : mdns(std::move(Mdns::create(std::move(c)).value())) {
        mdns.start(at({}));
        run(mdns, now);
    }
    std::vector<Sent> ask(const dns::Message& message, const Endpoint& from = endpoint("192.0.2.9"), Duration wait = milliseconds{600},
                          InterfaceIndex interface = 1) {
        mdns.received(interface, from, encoded(message), now);
        auto out = drain(mdns, now);
        for (auto& sent : run(mdns, now + wait)) out.push_back(std::move(sent));
        now = now + wait;
        return out;
    }
};

TEST(MdnsAnswer, QueriesAtZeroOneThreeAndEveryTenSeconds) {
    auto mdns = node(1, "/ip4/192.0.2.1/tcp/4001");
    EXPECT_FALSE(mdns.next_deadline());
    mdns.start(at({}));
    auto all = drain(mdns, at({}));
    for (auto& sent : run(mdns, at(seconds{35}))) all.push_back(std::move(sent));
    std::vector<Duration> queries;
    std::vector<Duration> answers;
    for (const auto& sent : all) {
        (sent.message.response ? answers : queries).push_back(sent.when - at({}));
        EXPECT_EQ(sent.packet.to, To::both_groups);
        EXPECT_EQ(sent.packet.interface, 0u);
        if (sent.message.response) continue;
        ASSERT_EQ(sent.message.questions.size(), 1u) << "js looks only at the first question";
        EXPECT_EQ(sent.message.questions[0], (dns::Question{service(), dns::Type::ptr, false}));
    }
    EXPECT_EQ(queries, (std::vector<Duration>{seconds{0}, seconds{1}, seconds{3}, seconds{13}, seconds{23}, seconds{33}}));
    ASSERT_EQ(answers.size(), queries.size()) << "each own query is answered";
    std::set<Duration> delays;
    for (std::size_t i = 0; i < queries.size(); ++i) {
        const auto delay = answers[i] - queries[i];
        // The second may wait until a second after the first.
        EXPECT_GE(delay, milliseconds{20});
        EXPECT_LE(delay, milliseconds{120});
        delays.insert(delay);
    }
    EXPECT_GT(delays.size(), 3u) << "random";
}

TEST(MdnsAnswer, TheShapeThatJsGoAndRustUnderstand) {
    auto c = config(1, {address("/ip4/192.0.2.1/tcp/4001"), address("/ip6/2001:db8::1/tcp/4002")});
    Quiet quiet{c};
    const auto sent = quiet.ask(query(service()));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].packet.to, To::ipv4_group) << "as asked";
    EXPECT_EQ(sent[0].packet.interface, 1u);
    const auto& message = sent[0].message;
    EXPECT_TRUE(message.response);
    EXPECT_TRUE(message.authoritative);
    EXPECT_TRUE(message.questions.empty());
    // js takes the last PTR among the answers for the one it asked for; rust finds TXT only among the additional records.
    ASSERT_EQ(message.answers.size(), 1u);
    EXPECT_EQ(message.answers[0], (dns::Record{service(), false, 120, dns::Ptr{own}}));
    // go keeps only the last TXT, so there is one; and it wants an address record of the SRV's target.
    ASSERT_EQ(message.additionals.size(), 4u);
    EXPECT_EQ(message.additionals[0], (dns::Record{own, true, 120, dns::Srv{0, 0, 4001, host}}));
    EXPECT_EQ(message.additionals[1],
              (dns::Record{own, true, 120, dns::Txt{{dnsaddr("/ip4/192.0.2.1/tcp/4001", 1), dnsaddr("/ip6/2001:db8::1/tcp/4002", 1)}}}));
    EXPECT_EQ(message.additionals[2], (dns::Record{host, true, 120, dns::A{{192, 0, 2, 1}}}));
    EXPECT_EQ(message.additionals[3].type(), 28);
}

TEST(MdnsAnswer, DirectQuestions) {
    Quiet quiet;
    const auto meta = quiet.ask(query(name("_services._dns-sd._udp.local")));
    ASSERT_EQ(meta.size(), 1u);
    EXPECT_EQ(meta[0].message.answers.at(0), (dns::Record{name("_services._dns-sd._udp.local"), false, 120, dns::Ptr{service()}}));
    for (const auto type : {dns::Type::srv, dns::Type::txt, dns::Type::any}) {
        const auto sent = quiet.ask(query(own, type), endpoint("192.0.2.9"), seconds{1} + milliseconds{200});
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].message.answers.size(), 2u);
    }
    for (const auto type : {dns::Type::a, dns::Type::aaaa, dns::Type::any}) {
        const auto sent = quiet.ask(query(host, type), endpoint("192.0.2.9"), seconds{1} + milliseconds{200});
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].message.answers.at(0).data, (dns::Data{dns::A{{192, 0, 2, 1}}}));
    }
}

TEST(MdnsAnswer, WhatIsNotAskedOfUs) {
    Quiet quiet;
    for (const auto& message : {query(name("_http._tcp.local")), query(instance('x'), dns::Type::any), query(service(), dns::Type::txt),
                                query(own, dns::Type::a), query(host, dns::Type::ptr), dns::Message{}}) {
        EXPECT_TRUE(quiet.ask(message, endpoint("192.0.2.9"), milliseconds{200}).empty());
    }
}

TEST(MdnsAnswer, OncePerSecondWhoeverAsks) {
    Quiet quiet;
    std::vector<Instant> answers;
    for (int i = 0; i < 300; ++i) {  // 3 s of a question every 10 ms
        for (const auto& sent : quiet.ask(query(service()), endpoint("192.0.2." + std::to_string(i % 200 + 2)), milliseconds{10})) {
            if (sent.message.response) answers.push_back(sent.when);
        }
    }
    EXPECT_GE(answers.size(), 3u);
    EXPECT_LE(answers.size(), 4u);
    for (std::size_t i = 1; i < answers.size(); ++i) EXPECT_GE(answers[i] - answers[i - 1], seconds{1});
}

TEST(MdnsAnswer, AQuestionWithinTheSecondIsAnsweredAtItsEnd) {
    Quiet quiet;
    const auto first = quiet.ask(query(service()), endpoint("192.0.2.9"), milliseconds{200});
    ASSERT_EQ(first.size(), 1u);
    const auto second = quiet.ask(query(service()), endpoint("192.0.2.8"), seconds{2});
    ASSERT_EQ(second.size(), 1u) << "a node that came just after the first answer must not wait for its next query";
    EXPECT_EQ(second[0].when - first[0].when, seconds{1});
}

TEST(MdnsAnswer, ProbesAreAnsweredAtOnce) {
    Quiet quiet;
    auto probe = query(own, dns::Type::any);
    probe.authorities = {{own, false, 120, dns::Srv{0, 0, 1, name("thief.local")}}};
    const auto first = quiet.ask(probe, endpoint("192.0.2.9"), milliseconds{100});
    const auto second = quiet.ask(probe, endpoint("192.0.2.9"), milliseconds{300});
    ASSERT_EQ(first.size(), 1u);
    ASSERT_EQ(second.size(), 1u);
    EXPECT_EQ(second[0].when - first[0].when, milliseconds{250});
}

TEST(MdnsAnswer, FamiliesAreSeparate) {
    Quiet quiet;
    const auto v6 = quiet.ask(query(service()), endpoint("fe80::9%1"), milliseconds{150});
    const auto v4 = quiet.ask(query(service()), endpoint("192.0.2.9"), milliseconds{150});
    ASSERT_EQ(v6.size(), 1u);
    ASSERT_EQ(v4.size(), 1u) << "who hears only IPv4 did not hear the first";
    EXPECT_EQ(v6[0].packet.to, To::ipv6_group);
    EXPECT_EQ(v4[0].packet.to, To::ipv4_group);
}

TEST(MdnsAnswer, UnicastWhenAskedTo) {
    Quiet quiet;
    const auto sent = quiet.ask(query(service(), dns::Type::ptr, true));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].when, at(seconds{5})) << "without delay: only one answers";
    EXPECT_EQ(sent[0].packet.to, To::unicast);
    EXPECT_EQ(sent[0].packet.unicast, endpoint("192.0.2.9"));
    EXPECT_EQ(sent[0].message.answers.at(0).ttl, 120u);
}

TEST(MdnsAnswer, LegacyResolvers) {
    Quiet quiet;
    auto question = query(own, dns::Type::txt);
    question.id = 77;
    const auto sent = quiet.ask(question, endpoint("192.0.2.9", 40000));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].packet.to, To::unicast);
    EXPECT_EQ(sent[0].packet.unicast, endpoint("192.0.2.9", 40000));
    EXPECT_EQ(sent[0].message.id, 77);
    EXPECT_EQ(sent[0].message.questions, question.questions);
    for (const auto* list : {&sent[0].message.answers, &sent[0].message.additionals}) {
        for (const auto& record : *list) {
            EXPECT_LE(record.ttl, 10u);
            EXPECT_FALSE(record.cache_flush);
        }
    }
}

TEST(MdnsAnswer, RustAsksFromAnyPortAndHearsOnlyMulticast) {
    Quiet quiet;
    const auto sent = quiet.ask(query(service()), endpoint("192.0.2.9", 40000));
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0].packet.to, To::unicast);
    EXPECT_EQ(sent[1].packet.to, To::ipv4_group);
}

TEST(MdnsAnswer, UnicastIsLimited) {
    Quiet quiet;
    std::size_t answers = 0;
    for (int i = 0; i < 1000; ++i) {
        answers += quiet.ask(query(own, dns::Type::txt), endpoint("192.0.2.9", 40000), milliseconds{1}).size();
    }
    EXPECT_LE(answers, 40u);
    EXPECT_GE(answers, 20u);
    EXPECT_GE(quiet.mdns.stats().answers_limited, 900u);
}

TEST(MdnsAnswer, KnownAnswersAreNotRepeated) {
    Quiet quiet;
    auto known = query(service());
    known.answers = {{service(), false, 60, dns::Ptr{own}}};
    EXPECT_TRUE(quiet.ask(known).empty());
    known.answers[0].ttl = 59;
    EXPECT_EQ(quiet.ask(known).size(), 1u) << "less than half of its time left";
    auto other = query(service());
    other.answers = {{service(), false, 120, dns::Ptr{instance('x')}}};
    EXPECT_EQ(quiet.ask(other, endpoint("192.0.2.9"), seconds{2}).size(), 1u);
}

TEST(MdnsAnswer, KnownAnswersMayFollowInAnotherPacket) {
    Quiet quiet;
    auto first = query(service());
    first.truncated = true;
    dns::Message second;
    second.answers = {{service(), false, 120, dns::Ptr{own}}};
    EXPECT_TRUE(quiet.ask(first, endpoint("192.0.2.9"), milliseconds{100}).empty()) << "it waits for the rest";
    EXPECT_TRUE(quiet.ask(second, endpoint("192.0.2.9"), seconds{1}).empty());
    // The known answers of one node do not take the answer from another.
    quiet.ask(first, endpoint("192.0.2.9"), milliseconds{100});
    quiet.ask(query(service()), endpoint("192.0.2.8"), milliseconds{1});
    EXPECT_EQ(quiet.ask(second, endpoint("192.0.2.9"), seconds{1}).size(), 1u);
}

TEST(MdnsAnswer, OnlySuitableAddresses) {
    const std::string relay = "/ip4/192.0.2.9/tcp/1/p2p/" + peer(7).text() + "/p2p-circuit";
    auto c =
        config(1, {address(relay), address("/ip4/192.0.2.1/tcp/1/ws"), address("/ip4/192.0.2.1/tcp/1/tls/ws"),
                   address("/ip4/192.0.2.1/tcp/1/wss"), address("/ip4/192.0.2.1/udp/1/webrtc-direct"),
                   address("/ip4/192.0.2.1/udp/1/quic-v1/webtransport"), address("/dns/example.com/tcp/1"), address("/unix/tmp/s"),
                   address("/dns/host.LOCAL/tcp/1"), address("/ip4/192.0.2.1/udp/1/quic-v1"), address("/ip6zone/eth0/ip6/fe80::1/tcp/1"),
                   address("/ip4/192.0.2.1/tcp/1/p2p/" + peer(1).text()), address("/ip4/192.0.2.1/tcp/1")});
    Quiet quiet{c};
    const auto sent = quiet.ask(query(own, dns::Type::txt));
    ASSERT_EQ(sent.size(), 1u);
    const auto& strings = std::get<dns::Txt>(sent[0].message.answers.at(1).data).strings;
    EXPECT_EQ(strings, (std::vector<std::string>{dnsaddr("/dns/host.LOCAL/tcp/1", 1), dnsaddr("/ip4/192.0.2.1/udp/1/quic-v1", 1),
                                                 dnsaddr("/ip6/fe80::1/tcp/1", 1), dnsaddr("/ip4/192.0.2.1/tcp/1", 1)}));
}

TEST(MdnsAnswer, FitsOneFrame) {
    std::vector<Multiaddr> many;
    for (int i = 0; i < 100; ++i) many.push_back(address("/ip4/192.0.2.1/tcp/" + std::to_string(1000 + i)));
    many.insert(many.begin(), address("/dns/" + std::string(190, 'x') + ".local/tcp/1"));  // above 255 with the id
    Quiet quiet{config(1, many)};
    const auto sent = quiet.ask(query(service()));
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_LE(sent[0].packet.bytes.size(), MdnsRecords::max_response);
    const auto& strings = std::get<dns::Txt>(sent[0].message.additionals.at(1).data).strings;
    EXPECT_GT(strings.size(), 8u);
    EXPECT_EQ(strings.front(), dnsaddr("/ip4/192.0.2.1/tcp/1000", 1));
}

TEST(MdnsAnswer, EachInterfaceItsOwnAddresses) {
    auto c = config(1, {address("/ip4/192.0.2.1/tcp/1")}, 2);
    c.addresses.push_back({3, {address("/ip4/198.51.100.1/tcp/1")}});
    c.addresses.push_back({4, {}});
    Quiet quiet{c};
    const auto two = quiet.ask(query(own, dns::Type::txt), endpoint("192.0.2.9"), milliseconds{200}, 2);
    const auto three = quiet.ask(query(own, dns::Type::txt), endpoint("198.51.100.9"), milliseconds{200}, 3);
    ASSERT_EQ(two.size(), 1u);
    ASSERT_EQ(three.size(), 1u);
    EXPECT_EQ(std::get<dns::Txt>(two[0].message.answers[1].data).strings[0], dnsaddr("/ip4/192.0.2.1/tcp/1", 1));
    EXPECT_EQ(std::get<dns::Txt>(three[0].message.answers[1].data).strings[0], dnsaddr("/ip4/198.51.100.1/tcp/1", 1));
    EXPECT_TRUE(quiet.ask(query(own, dns::Type::txt), endpoint("203.0.113.9"), milliseconds{200}, 4).empty());
    EXPECT_TRUE(quiet.ask(query(own, dns::Type::txt), endpoint("203.0.113.9"), milliseconds{200}, 5).empty()) << "unknown interface";
    quiet.mdns.stop();
    std::vector<InterfaceIndex> goodbyes;
    for (const auto& sent : drain(quiet.mdns, quiet.now)) goodbyes.push_back(sent.packet.interface);
    EXPECT_EQ(goodbyes, (std::vector<InterfaceIndex>{2, 3}));
}

TEST(MdnsAnswer, GoodbyeHasNoTxt) {
    Quiet quiet;
    quiet.mdns.stop();
    quiet.mdns.stop();
    const auto sent = drain(quiet.mdns, quiet.now);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].message.answers, (std::vector<dns::Record>{{service(), false, 0, dns::Ptr{own}}}));
    EXPECT_TRUE(sent[0].message.additionals.empty()) << "js would report us found by it";
    quiet.mdns.received(1, endpoint("192.0.2.9"), encoded(query(service())), quiet.now);
    quiet.mdns.tick(quiet.now + seconds{10});
    EXPECT_TRUE(quiet.mdns.take_packets().empty());
}

TEST(MdnsAnswer, AnInterfaceThatLosesItsAddressesSaysGoodbye) {
    Quiet quiet{config(1, {address("/ip4/192.0.2.1/tcp/1")}, 2)};
    quiet.mdns.set_addresses({{2, {address("/ip4/192.0.2.1/tcp/1")}}}, quiet.now);
    EXPECT_TRUE(drain(quiet.mdns, quiet.now).empty()) << "nothing changed";
    quiet.mdns.set_addresses({}, quiet.now);
    const auto sent = drain(quiet.mdns, quiet.now);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].message.answers.at(0).ttl, 0u);
    EXPECT_TRUE(quiet.ask(query(service()), endpoint("192.0.2.9"), milliseconds{500}, 2).empty());
}

TEST(MdnsAnswer, NewAddressesAreAnnouncedTwice) {
    Quiet quiet;
    quiet.mdns.set_addresses({{0, {address("/ip4/192.0.2.1/tcp/2")}}}, quiet.now);
    const auto sent = run(quiet.mdns, quiet.now + seconds{3});
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_LE(sent[0].when - quiet.now, milliseconds{120});
    EXPECT_GE(sent[1].when - sent[0].when, seconds{1});
}

TEST(MdnsAnswer, AskingWithKnownAnswersKeepsThemSilent) {
    Quiet quiet;
    quiet.mdns.received(1, endpoint("192.0.2.2"), encoded(response('c', {dnsaddr("/ip4/192.0.2.2/tcp/1", 2)})), quiet.now);
    const auto sent = run(quiet.mdns, at(seconds{13} + milliseconds{10}));
    ASSERT_EQ(sent.size(), 1u);
    ASSERT_EQ(sent[0].message.answers.size(), 1u);
    EXPECT_EQ(sent[0].message.answers[0], (dns::Record{service(), false, 112, dns::Ptr{instance('c')}}));
    for (const auto& later : run(quiet.mdns, at(seconds{120}))) {
        if (later.message.response || later.when < at(seconds{65})) continue;
        EXPECT_TRUE(later.message.answers.empty()) << "with less than half of its time it is asked for again";
    }
}

TEST(MdnsAnswer, RefusesABadConfiguration) {
    const auto good = config(1, {});
    const auto wrong = [&](auto change) {
        auto c = good;
        change(c);
        const auto out = Mdns::create(c);
        return !out && out.error().code == Errc::invalid_argument;
    };
    EXPECT_TRUE(Mdns::create(good));
    EXPECT_TRUE(wrong([](auto& c) { c.self = {}; }));
    EXPECT_TRUE(wrong([](auto& c) { c.peer_name = std::string(31, 'a'); }));
    EXPECT_TRUE(wrong([](auto& c) { c.peer_name = std::string(64, 'a'); }));
    EXPECT_TRUE(wrong([](auto& c) { c.peer_name[3] = 'A'; }));
    EXPECT_TRUE(wrong([](auto& c) { c.query_interval = milliseconds{999}; }));
    EXPECT_TRUE(wrong([](auto& c) { c.ttl = seconds{1}; }));
}

}  // namespace
}  // namespace kith::discovery
