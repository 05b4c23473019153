// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "mux/stream.hpp"

namespace kith::mux {
namespace {

TEST(StreamTable, FindsNothingInAnEmptyTable) {
    StreamTable table;
    EXPECT_EQ(table.find(StreamId{1}), nullptr);
    table.erase(StreamId{1});
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(table.memory(), 0U);
}

TEST(StreamTable, AgreesWithAMapOverRandomInsertsAndErases) {
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        std::mt19937 random{seed};
        StreamTable table;
        std::map<std::uint32_t, std::uint32_t> model;
        for (int step = 0; step < 3000; ++step) {
            // Few distinct ids, so that the same probe chains are cut and mended again and again.
            const std::uint32_t id = 1 + static_cast<std::uint32_t>(random() % 200) * 0x10001;
            if (model.contains(id)) {
                ASSERT_EQ(table.find(StreamId{id})->send_window, model[id]) << "seed " << seed;
                if (random() % 2 == 0) {
                    table.erase(StreamId{id});
                    model.erase(id);
                }
            } else {
                ASSERT_EQ(table.find(StreamId{id}), nullptr) << "seed " << seed;
                const auto value = static_cast<std::uint32_t>(random());
                table.insert(StreamId{id}).send_window = value;
                model[id] = value;
            }
            ASSERT_EQ(table.size(), model.size()) << "seed " << seed;
        }
        for (const auto& [id, value] : model) ASSERT_EQ(table.find(StreamId{id})->send_window, value) << "seed " << seed;
    }
}

TEST(StreamTable, IdsThatAllCollideAreStillFound) {
    // An adversary picks ids whose product with the multiplier has the same top bits.
    StreamTable table;
    std::vector<std::uint32_t> ids;
    for (std::uint32_t id = 1; ids.size() < 256; id += 2) {
        if ((id * 0x9E3779B1U) >> 23 == 0) ids.push_back(id);
    }
    for (const std::uint32_t id : ids) table.insert(StreamId{id}).send_window = id;
    for (const std::uint32_t id : ids) ASSERT_EQ(table.find(StreamId{id})->send_window, id);
    for (std::size_t i = 0; i < ids.size(); i += 2) table.erase(StreamId{ids[i]});
    for (std::size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(table.find(StreamId{ids[i]}) != nullptr, i % 2 == 1);
}

TEST(StreamTable, GivesTheMemoryOfABurstBack) {
    StreamTable table;
    for (std::uint32_t id = 1; id < 2000; id += 2) table.insert(StreamId{id});
    EXPECT_GT(table.memory(), 64 * 1024U);
    for (std::uint32_t id = 1; id < 2000; id += 2) table.erase(StreamId{id});
    EXPECT_EQ(table.memory(), 0U);
    table.insert(StreamId{5});
    EXPECT_NE(table.find(StreamId{5}), nullptr);
}

TEST(SlotList, KeepsOrderUnderRemovalFromEveryPlace) {
    StreamTable table;
    for (std::uint32_t id = 1; id <= 5; ++id) table.insert(StreamId{id});
    SlotList<&Stream::turn_links> list;
    const auto slot = [&](std::uint32_t id) { return table.slot(*table.find(StreamId{id})); };
    for (std::uint32_t id = 1; id <= 5; ++id) list.push_back(table, slot(id));
    list.remove(table, slot(3));
    list.remove(table, slot(5));
    list.remove(table, slot(1));
    list.push_back(table, slot(3));
    std::vector<std::uint32_t> order;
    while (!list.empty()) {
        order.push_back(table.at(list.front()).id.value);
        list.remove(table, list.front());
    }
    EXPECT_EQ(order, (std::vector<std::uint32_t>{2, 4, 3}));
}

}  // namespace
}  // namespace kith::mux
