// SPDX-License-Identifier: Apache-2.0
// Questions and answers over two channels: the asker numbers its questions, so that answers may come in any order.
// Both nodes live in one program here; nothing changes when they are on two machines.
#include <future>
#include <iostream>
#include <kith/kith.hpp>
#include <map>
#include <mutex>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

kith::Config on_loopback(std::string name) {
    kith::Config config;
    config.name = std::move(name);
    config.lan = false;
    config.listen = {"/ip4/127.0.0.1/tcp/0"};
    return config;
}

// "17 text": the number of the question, then its text or that of the answer.
std::pair<std::string, std::string> split(std::string_view message) {
    const auto space = message.find(' ');
    if (space == std::string_view::npos) return {std::string{message}, {}};
    return {std::string{message.substr(0, space)}, std::string{message.substr(space + 1)}};
}

class Asker {
public:
    explicit Asker(kith::Node& node) : node_(node) {
        node_.on_message("answer", [this](const kith::Message& m) {
            const auto [number, text] = split(m.text());
            const std::lock_guard lock{mutex_};
            const auto waiting = waiting_.find(number);
            if (waiting == waiting_.end()) return;  // nobody waits for it any more
            waiting->second.set_value(text);
            waiting_.erase(waiting);
        });
    }

    std::future<std::string> ask(const kith::PeerId& peer, const std::string& text) {
        std::future<std::string> answer;
        std::string number;
        {
            const std::lock_guard lock{mutex_};
            number = std::to_string(++last_);
            answer = waiting_[number].get_future();
        }
        if (auto ok = node_.send(peer, "question", number + " " + text); !ok) {
            std::cerr << ok.error() << "\n";
            const std::lock_guard lock{mutex_};
            waiting_.erase(number);  // the future says broken_promise
        }
        return answer;
    }

private:
    kith::Node& node_;
    std::mutex mutex_;  // callbacks run on the node's thread
    std::map<std::string, std::promise<std::string>> waiting_;
    std::uint64_t last_ = 0;
};

}  // namespace

int main() {
    kith::Node server{on_loopback("server")};
    server.on_message("question", [&](const kith::Message& m) {
        const auto [number, text] = split(m.text());
        const std::string answer = number + " " + std::string{text.rbegin(), text.rend()};
        if (auto ok = server.send(m.from, "answer", answer); !ok) std::cerr << ok.error() << "\n";
    });
    kith::Node client{on_loopback("client")};
    Asker asker{client};
    for (auto* node : {&server, &client}) {
        if (auto ok = node->start(); !ok) {
            std::cerr << ok.error() << "\n";
            return 1;
        }
    }
    const auto peer = client.connect(server.addresses().front());
    if (!peer) {
        std::cerr << peer.error() << "\n";
        return 1;
    }
    for (const std::string question : {"kith", "drawer", "stressed"}) {
        auto answer = asker.ask(*peer, question);
        if (answer.wait_for(10s) != std::future_status::ready) {
            std::cerr << "no answer to " << question << "\n";
            return 1;
        }
        std::cout << question << " -> " << answer.get() << "\n";
    }
    // The callbacks use what stands above: no more of them after this.
    client.stop();
    server.stop();
}
