#include "serf/user_events.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal::serf {
namespace {

using Lines = std::vector<std::string>;

/// A buffer with the clock that goes with it.
struct Seen {
  EventVerdict hear(LamportTime ltime, std::string_view name, std::string_view payload = "") {
    clock.witness_state(ltime);
    return buffer.on_event(clock.now(), ltime, name, as_bytes(payload));
  }
  [[nodiscard]] Lines told() const {
    Lines out;
    std::size_t times = 0;
    std::size_t left = 0;
    buffer.walk(
        [&](LamportTime ltime, std::size_t events) {
          CHECK(left == 0);
          CHECK(events > 0);
          left = events;
          ++times;
          out.push_back(std::to_string(ltime) + ":");
        },
        [&](std::string_view name, Bytes payload) {
          --left;
          out.back() += " " + std::string(name) + "=" + std::string(as_text(payload));
        });
    CHECK(left == 0);
    CHECK(buffer.times_stored() == times);
    return out;
  }
  LamportClock clock;
  EventBuffer buffer;
};

constexpr auto kNew = EventVerdict::kNew;
constexpr auto kDuplicate = EventVerdict::kDuplicate;
constexpr auto kTooOld = EventVerdict::kTooOld;

TEST_CASE("an event is new once; another time, name or payload is another event") {
  Seen seen;
  CHECK(seen.hear(5, "deploy", "v1") == kNew);
  CHECK(seen.hear(5, "deploy", "v1") == kDuplicate);
  CHECK(seen.hear(6, "deploy", "v1") == kNew);
  CHECK(seen.hear(5, "deploy", "v2") == kNew);
  CHECK(seen.hear(5, "deployv", "1") == kNew);  // The same bytes, cut elsewhere.
  CHECK(seen.hear(5, "", "") == kNew);
  CHECK(seen.hear(5, "", "") == kDuplicate);
  CHECK(seen.hear(5, "deploy", "v2") == kDuplicate);
  CHECK(seen.told() == Lines{"5: deploy=v1 deploy=v2 deployv=1 =", "6: deploy=v1"});
  CHECK(seen.buffer.count(kNew) == 5);
  CHECK(seen.buffer.count(kDuplicate) == 3);
}

TEST_CASE("512 times back is still told from a duplicate, 513 is too old") {
  Seen seen;
  CHECK(seen.hear(1, "early") == kNew);
  CHECK(seen.hear(1000, "now") == kNew);  // The clock is 1001 now.
  CHECK(seen.hear(1001 - 512, "edge") == kNew);
  CHECK(seen.hear(1001 - 512, "edge") == kDuplicate);
  CHECK(seen.hear(1001 - 513, "past") == kTooOld);
  CHECK(seen.hear(1, "early") == kTooOld);
  Seen young;
  CHECK(young.hear(511, "a") == kNew);  // The clock is 512: nothing is old yet.
  CHECK(young.hear(0, "b") == kNew);
  CHECK(young.hear(512, "c") == kNew);  // In 0's place.
  CHECK(young.told() == Lines{"512: c=", "511: a="});
  CHECK(young.hear(0, "b") == kTooOld);
}

TEST_CASE("a newer time takes the place of the one 512 before it") {
  Seen seen;
  CHECK(seen.hear(7, "old", "x") == kNew);
  CHECK(seen.hear(7, "older", "x") == kNew);
  CHECK(seen.hear(7 + 512, "young", "y") == kNew);
  CHECK(seen.told() == Lines{"519: young=y"});
}

TEST_CASE("a minimum refuses what is older, and never goes back") {
  Seen seen;
  seen.buffer.raise_minimum(10);
  seen.buffer.raise_minimum(4);
  CHECK(seen.buffer.minimum() == 10);
  CHECK(seen.hear(9, "a") == kTooOld);
  CHECK(seen.hear(10, "a") == kNew);
  CHECK(seen.told() == Lines{"10: a="});
}

TEST_CASE("an event that fits into no datagram is refused, one byte less is kept whole") {
  Seen seen;
  const std::string name(200, 'n');
  const std::string payload(1200, 'p');
  CHECK(seen.hear(3, name, payload + "p") == EventVerdict::kTooBig);
  CHECK(seen.hear(3, std::string(70'000, 'n'), "") == EventVerdict::kTooBig);
  CHECK(seen.told().empty());
  CHECK(seen.hear(3, name, payload) == kNew);
  CHECK(seen.told() == Lines{"3: " + name + "=" + payload});
  CHECK(seen.hear(3, name, payload) == kDuplicate);
  CHECK(seen.buffer.count(EventVerdict::kTooBig) == 2);
}

TEST_CASE("one Lamport time holds 64 events") {
  Seen seen;
  for (int i = 0; i < 64; ++i) CHECK(seen.hear(9, "e" + std::to_string(i)) == kNew);
  CHECK(seen.hear(9, "one more") == EventVerdict::kCrowded);
  CHECK(seen.hear(9, "e63") == kDuplicate);
  CHECK(seen.hear(10, "one more") == kNew);
}

TEST_CASE("when the bytes run out the oldest are forgotten, but not that they have been seen") {
  Seen seen;
  const std::string payload(1300, 'p');
  const auto name = [](int i) { return "event " + std::to_string(i); };
  for (int i = 0; i < 200; ++i) CHECK(seen.hear(static_cast<LamportTime>(i + 1), name(i), payload) == kNew);
  const Lines told = seen.told();
  CHECK(told.size() > 90);  // Of 128 KiB a hundred such events, less what does not fit at the end.
  CHECK(told.size() <= 100);
  CHECK(told.back() == "200: event 199=" + payload);  // The newest are there, whole.
  CHECK(told.front() ==
        std::to_string(201 - told.size()) + ": event " + std::to_string(200 - told.size()) + "=" + payload);
  for (int i = 0; i < 200; ++i) CHECK(seen.hear(static_cast<LamportTime>(i + 1), name(i), payload) == kDuplicate);
  CHECK(seen.hear(1, name(0), payload.substr(1)) == kNew);  // A mark is not any event of its time.
}

TEST_CASE("when the marks run out the oldest time goes as a whole, and is refused from then on") {
  Seen seen;
  for (LamportTime ltime = 1; ltime <= 32; ++ltime) {
    for (int i = 0; i < 64; ++i) REQUIRE(seen.hear(ltime, std::to_string(i)) == kNew);
  }
  REQUIRE(EventBuffer::kMarks == 32 * 64);
  CHECK(seen.buffer.minimum() == 0);
  CHECK(seen.hear(33, "a") == kNew);
  CHECK(seen.buffer.minimum() == 2);
  CHECK(seen.hear(1, "0") == kTooOld);  // Not new again.
  CHECK(seen.hear(2, "0") == kDuplicate);
  CHECK(seen.told().size() == 32);
  for (int i = 1; i < 64; ++i) CHECK(seen.hear(33, std::to_string(i) + "a") == kNew);
  CHECK(seen.buffer.minimum() == 2);
  CHECK(seen.hear(2, "an old one that is new") == EventVerdict::kCrowded);
  CHECK(seen.hear(40, "b") == kNew);
  CHECK(seen.buffer.minimum() == 3);
}

TEST_CASE("an event older than all that are marked does not push newer ones out") {
  Seen seen;
  for (LamportTime ltime = 101; ltime <= 132; ++ltime) {
    for (int i = 0; i < 64; ++i) REQUIRE(seen.hear(ltime, std::to_string(i)) == kNew);
  }
  CHECK(seen.hear(100, "late") == kTooOld);
  CHECK(seen.hear(101, "0") == kDuplicate);
  CHECK(seen.told().size() == 32);
}

TEST_CASE("no event is ever new twice, whatever comes") {
  Rng rng(7);
  Seen seen;
  std::vector<std::string> delivered;
  LamportTime base = 0;
  for (int i = 0; i < 30'000; ++i) {
    if (rng.one_in(2000)) base += rng.below(std::uint64_t{60});
    const LamportTime ltime = base + rng.below(std::uint64_t{30});
    const std::string name = std::to_string(rng.below(std::uint64_t{40}));
    const std::string payload(rng.below(std::uint64_t{4}) * 450, 'x');
    if (seen.hear(ltime, name, payload) == kNew) {
      delivered.push_back(std::to_string(ltime) + " " + name + " " + std::to_string(payload.size()));
    }
  }
  CHECK(delivered.size() > 1'000);
  CHECK(seen.buffer.minimum() > 0);  // The marks ran out on the way.
  std::sort(delivered.begin(), delivered.end());
  CHECK(std::adjacent_find(delivered.begin(), delivered.end()) == delivered.end());
  std::size_t told = 0;
  seen.buffer.walk([](LamportTime, std::size_t) {},
                   [&](std::string_view name, Bytes payload) {
                     ++told;
                     CHECK(name.size() <= 2);
                     CHECK(payload.size() % 450 == 0);
                     CHECK(std::all_of(payload.begin(), payload.end(), [](std::uint8_t c) { return c == 'x'; }));
                   });
  CHECK(told > 100);
}

/// A coalescer on virtual time.
struct Waiting {
  void hear(Duration when, LamportTime ltime, std::string_view name, std::string_view payload = "") {
    pass(when);
    coalescer.on_event(Instant{} + when, ltime, name, as_bytes(payload), deliver());
  }
  void pass(Duration until) {
    while (coalescer.next_deadline() <= Instant{} + until) {
      now = coalescer.next_deadline();
      coalescer.on_deadline(now, deliver());
    }
    now = Instant{} + until;
  }
  std::function<void(LamportTime, std::string_view, Bytes)> deliver() {
    return [this](LamportTime ltime, std::string_view name, Bytes payload) {
      told.push_back(std::to_string(to_ms(now - Instant{})) + " " + std::to_string(ltime) + " " + std::string(name) +
                     "=" + std::string(as_text(payload)).substr(0, 10));
    };
  }
  Instant now{};
  EventCoalescer coalescer;
  Lines told;
};

TEST_CASE("an event waits for a second of silence") {
  Waiting wait;
  CHECK(wait.coalescer.next_deadline() == kNever);
  wait.hear(0ms, 1, "a", "x");
  wait.hear(600ms, 2, "b", "y");
  wait.pass(1'599ms);
  CHECK(wait.told.empty());
  wait.pass(10s);
  CHECK(wait.told == Lines{"1600 1 a=x", "1600 2 b=y"});
  CHECK(wait.coalescer.next_deadline() == kNever);
}

TEST_CASE("without silence it waits three seconds from the first, and the next three begin with the next event") {
  Waiting wait;
  LamportTime ltime = 0;
  for (int i = 0; i < 8; ++i) wait.hear(i * 500ms, ++ltime, "a");
  CHECK(wait.told == Lines{"3000 6 a="});
  wait.pass(20s);
  CHECK(wait.told == Lines{"3000 6 a=", "4500 8 a="});
}

TEST_CASE("of a name the newest time is told, with all its payloads; late and repeated times do not count") {
  Waiting wait;
  wait.hear(0ms, 5, "a", "1");
  wait.hear(1ms, 5, "a", "2");
  wait.hear(2ms, 3, "b", "old");
  wait.hear(3ms, 7, "b", "new");
  wait.hear(4ms, 4, "a", "late");
  wait.hear(5ms, 7, "b", "too");
  wait.pass(5s);
  CHECK(wait.told == Lines{"1005 5 a=1", "1005 5 a=2", "1005 7 b=new", "1005 7 b=too"});
  CHECK(wait.coalescer.superseded() == 2);
  wait.hear(6s, 4, "a", "again");  // What was told is forgotten: serf does not remember either.
  wait.pass(10s);
  CHECK(wait.told.back() == "7000 4 a=again");
}

TEST_CASE("a newer time that takes the place of the only one does not put the three seconds off") {
  Waiting wait;
  for (LamportTime i = 0; i < 5; ++i) wait.hear(static_cast<int>(i) * 900ms, i + 1, "a");
  CHECK(wait.told == Lines{"3000 4 a="});
}

TEST_CASE("when there is no room all are told at once, and the new one waits") {
  Waiting wait;
  for (LamportTime i = 0; i <= EventCoalescer::kEventsMax; ++i) wait.hear(0ms, i + 1, "e" + std::to_string(i));
  CHECK(wait.told.size() == EventCoalescer::kEventsMax);
  wait.pass(5s);
  CHECK(wait.told.size() == EventCoalescer::kEventsMax + 1);
  CHECK(wait.told.back() == "1000 129 e128=");

  Waiting bytes;
  const std::string payload(1399, 'p');
  for (LamportTime i = 1; i <= 100; ++i)
    bytes.hear(0ms, i, "n", payload);  // One name: the places are free again, not the bytes.
  CHECK(bytes.told.empty());           // Each gave way to the next.
  bytes.pass(5s);
  CHECK(bytes.told == Lines{"1000 100 n=pppppppppp"});
  for (LamportTime i = 1; i <= 47; ++i) bytes.hear(6s, i, "n" + std::to_string(i), payload.substr(3));
  CHECK(bytes.told.size() == 1 + 46);
}

TEST_CASE("an event that never fits is told behind those that wait") {
  Waiting wait;
  wait.hear(0ms, 1, "a", "x");
  wait.hear(1ms, 2, "b", std::string(EventCoalescer::kBytesMax, 'y'));
  CHECK(wait.told == Lines{"1 1 a=x", "1 2 b=yyyyyyyyyy"});
  CHECK(wait.coalescer.next_deadline() == kNever);
}

TEST_CASE("at the end everything can be told at once") {
  Waiting wait;
  wait.hear(0ms, 1, "a", "x");
  wait.coalescer.flush(wait.deliver());
  CHECK(wait.told == Lines{"0 1 a=x"});
  CHECK(wait.coalescer.next_deadline() == kNever);
}

}  // namespace
}  // namespace shoal::serf
