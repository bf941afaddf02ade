#include "swim/broadcast_queue.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal::swim {
namespace {

using Taken = std::vector<std::string>;

constexpr std::uint32_t kOften = 1000;

/// The texts that a packet with this room gets.
Taken take(BroadcastQueue& queue, std::size_t budget = 1398, std::uint32_t limit = kOften, std::size_t count_max = 127,
           std::size_t* left = nullptr) {
  Taken out;
  const std::size_t rest =
      queue.take(budget, 2, limit, count_max, [&](Bytes message) { out.emplace_back(as_text(message)); });
  if (left != nullptr) *left = rest;
  return out;
}

BroadcastQueue::Token push(BroadcastQueue& queue, std::string_view text, std::uint64_t key = 0) {
  return queue.push(as_bytes(text), key);
}

TEST_CASE("the less transmitted goes first, then the larger, then the newer") {
  BroadcastQueue queue(16);
  push(queue, "old");
  CHECK(take(queue) == Taken{"old"});
  push(queue, "aaa");
  push(queue, "larger");
  push(queue, "bbb");
  CHECK(take(queue) == Taken{"larger", "bbb", "aaa", "old"});
  // Each has one more now: "old" two, the others one.
  CHECK(take(queue, 3 + 2) == Taken{"bbb"});
  CHECK(take(queue) == Taken{"larger", "aaa", "bbb", "old"});
}

TEST_CASE("only what fits is taken, and a smaller one further back fills the rest") {
  BroadcastQueue queue(16);
  push(queue, std::string(50, 'x'));
  push(queue, std::string(40, 'y'));
  push(queue, "small");
  std::size_t left = 0;
  CHECK(take(queue, 60, kOften, 127, &left) == Taken{std::string(50, 'x'), "small"});
  CHECK(left == 60 - 52 - 7);
  CHECK(take(queue, 6).empty());
  CHECK(take(queue, 7) == Taken{"small"});
  CHECK(take(queue, 0).empty());
  CHECK(take(queue, 2).empty());
}

TEST_CASE("what fits is found in a later tier when nothing of the first one does") {
  BroadcastQueue queue(16);
  push(queue, "tiny");
  CHECK(take(queue) == Taken{"tiny"});
  push(queue, std::string(100, 'x'));
  CHECK(take(queue, 50) == Taken{"tiny"});
}

TEST_CASE("a packet holds at most the parts that it may have") {
  BroadcastQueue queue(300);
  for (int i = 0; i < 300; ++i) push(queue, std::to_string(i));
  CHECK(take(queue, 100'000, kOften, 127).size() == 127);
  CHECK(take(queue, 100'000, kOften, 0).empty());
}

TEST_CASE("one batch never has the same message twice") {
  BroadcastQueue queue(4);
  push(queue, "a");
  CHECK(take(queue, 100'000) == Taken{"a"});
}

TEST_CASE("a message is transmitted exactly as often as the limit says, and is pending until then") {
  for (const std::uint32_t limit : {1U, 4U, 8U}) {
    CAPTURE(limit);
    BroadcastQueue queue(4);
    const auto token = push(queue, "news");
    std::uint32_t count = 0;
    while (queue.pending(token)) {
      CHECK(take(queue, 1398, limit) == Taken{"news"});
      ++count;
    }
    CHECK(count == limit);
    CHECK(queue.empty());
    CHECK(take(queue, 1398, limit).empty());
  }
}

TEST_CASE("news under a key replaces older news under it, which counts as finished; key 0 replaces nothing") {
  BroadcastQueue queue(8);
  const auto first = push(queue, "alive 1", 7);
  const auto other = push(queue, "other", 8);
  const auto second = push(queue, "alive 2", 7);
  CHECK_FALSE(queue.pending(first));
  CHECK(queue.pending(other));
  CHECK(queue.pending(second));
  CHECK(take(queue) == Taken{"alive 2", "other"});
  push(queue, "x");
  push(queue, "x");
  CHECK(queue.size() == 4);
  CHECK(queue.dropped() == 0);
}

TEST_CASE("a full queue gives up the most transmitted message and counts it") {
  BroadcastQueue queue(3);
  const auto worn = push(queue, "worn");
  CHECK(take(queue).size() == 1);
  const auto b = push(queue, "b");
  const auto c = push(queue, "c");
  const auto d = push(queue, "d");
  CHECK(queue.size() == 3);
  CHECK_FALSE(queue.pending(worn));
  CHECK((queue.pending(b) && queue.pending(c) && queue.pending(d)));
  CHECK(queue.dropped() == 1);
}

TEST_CASE("what could never be gossiped, or is empty, is refused and counted") {
  BroadcastQueue queue(3);
  CHECK(push(queue, std::string(BroadcastQueue::kMessageBytesMax + 1, 'x')) == 0);
  CHECK(push(queue, "") == 0);
  CHECK(queue.dropped() == 2);
  CHECK(queue.empty());
  CHECK(push(queue, std::string(BroadcastQueue::kMessageBytesMax, 'x')) != 0);
}

TEST_CASE("after many random pushes and takes each message was handed out at most as often as the limit") {
  Rng rng(3);
  BroadcastQueue queue(32);
  std::vector<int> count(2000);
  for (std::size_t i = 0; i < count.size(); ++i) {
    std::string text = std::to_string(i);
    text.resize(4 + rng.below(std::uint64_t{200}), ' ');
    push(queue, text, rng.below(std::uint64_t{20}));
    const std::size_t budget = rng.below(std::uint64_t{900});
    std::size_t used = 0;
    for (const std::string& taken : take(queue, budget, 4)) {
      used += taken.size() + 2;
      ++count[static_cast<std::size_t>(std::stoul(taken))];
    }
    CHECK(used <= budget);
    CHECK(queue.size() <= 32);
  }
  for (const int n : count) CHECK(n <= 4);
}

}  // namespace
}  // namespace shoal::swim
