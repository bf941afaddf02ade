#include "task/load_feedback.h"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

namespace shoal::task {
namespace {

struct Trace {
  explicit Trace(std::uint16_t whole = 100) : feedback(whole, Instant{}) {}

  Instant now{};
  Duration every = LoadFeedback::kReadEvery;
  LoadFeedback feedback;
  std::vector<int> told;
  std::vector<Instant> at;

  void read(std::uint32_t depth) {
    now += every;
    if (const auto weight = feedback.on_reading(now, {depth, 128, false})) {
      told.push_back(*weight);
      at.push_back(now);
      CHECK(*weight == feedback.weight());
    }
  }
  /// Four readings a second, of which `busy` in 8 find somebody waiting.
  void run(Duration time, int busy) {
    const Instant end = now + time;
    for (int i = 0; now < end; ++i) read(i % 8 < busy ? 3 : 0);
  }
};

}  // namespace

TEST_CASE("nothing changes while nobody waits") {
  Trace t;
  t.run(10min, 0);
  t.run(10min, 1);
  CHECK(t.told.empty());
  CHECK(t.feedback.weight() == 100);
}

TEST_CASE("a saturated worker asks for less, step by step, down to a tenth and no lower") {
  Trace t;
  t.run(60s, 8);
  CHECK(t.told == std::vector<int>{70, 49, 34, 23, 16, 11, 10});
  CHECK(t.at[0] == Instant{} + 2s);
  for (std::size_t i = 1; i < t.at.size(); ++i) CHECK(t.at[i] - t.at[i - 1] >= LoadFeedback::kBetweenChanges);
}

TEST_CASE("the weight is never less than one") {
  Trace t(3);
  t.run(60s, 8);
  CHECK(t.told == std::vector<int>{2, 1});
  Trace one(1);
  one.run(60s, 8);
  CHECK(one.told.empty());
}

TEST_CASE("a change needs two seconds since the last one, and a whole window of readings since then") {
  for (const auto& [every, apart] : {std::pair<Duration, Duration>{50ms, 2s}, {1s, 8s}}) {
    Trace t;
    t.every = every;
    t.run(apart * 4, 8);
    REQUIRE(t.at.size() == 4);
    for (std::size_t i = 0; i < t.at.size(); ++i) CHECK(t.at[i] == Instant{} + (i + 1) * apart);
  }
}

TEST_CASE("a burst shorter than the window changes nothing") {
  Trace t;
  for (int i = 0; i < 50; ++i) {
    for (int k = 0; k < 5; ++k) t.read(200);
    for (int k = 0; k < 8; ++k) t.read(0);
  }
  CHECK(t.told.empty());
}

TEST_CASE("between saturated and relaxed the weight stays") {
  Trace t;
  t.run(2s, 8);
  REQUIRE(t.told == std::vector<int>{70});
  for (const int busy : {2, 3, 4, 5}) t.run(5min, busy);
  CHECK(t.told == std::vector<int>{70});
}

TEST_CASE("a relaxed worker asks for more, slowly, and waits before it reaches the weight that was too much") {
  Trace t;
  t.run(6s, 8);
  REQUIRE(t.told == std::vector<int>{70, 49, 34});  // Saturated at 49 last.
  t.told.clear();
  const Instant relaxed = t.now;
  t.at.assign(1, relaxed);
  t.run(5min, 0);
  CHECK(t.told == std::vector<int>{42, 52, 62, 72, 82, 92, 100});
  REQUIRE(t.at.size() == 8);
  CHECK(t.at[1] - t.at[0] == Duration(LoadFeedback::kUpEvery));
  CHECK(t.at[2] - t.at[1] == Duration(LoadFeedback::kUpIntoLimit));
  CHECK(t.at[3] - t.at[2] == Duration(LoadFeedback::kUpEvery));  // The limit does not hold any more.
  CHECK(t.at[7] - t.at[6] == Duration(LoadFeedback::kUpEvery));
  // Back at the whole weight nothing is held against it.
  t.told.clear();
  t.run(2s, 8);
  t.run(10s, 0);
  CHECK(t.told == std::vector<int>{70, 80, 90});
  t.run(15s, 0);
  CHECK(t.told == std::vector<int>{70, 80, 90, 100});
}

TEST_CASE("a load that returns with the weight is met with few changes") {
  Trace t;  // Saturated above 40, relaxed else: there is no weight in between at which it would rest.
  for (int i = 0; i < 4 * 600; ++i) t.read(t.feedback.weight() > 40 ? 1 : 0);
  CHECK(t.told.size() < 600 / 6);
  for (std::size_t i = 1; i < t.at.size(); ++i) CHECK(t.at[i] - t.at[i - 1] >= LoadFeedback::kBetweenChanges);
}

TEST_CASE("at a steady load the weight settles: few changes, none closer than two seconds") {
  // It is saturated above 40, relaxed at 30 and below.
  Trace t;
  for (int i = 0; i < 4 * 600; ++i) {
    const int weight = t.feedback.weight();
    t.read(weight > 40 || (weight > 30 && i % 2 == 0) ? 1 : 0);
  }
  CHECK(t.feedback.weight() > 30);
  CHECK(t.feedback.weight() <= 40);
  CHECK(t.told.size() < 8);
}

TEST_CASE("another worker begins with the whole weight and with readings of its own") {
  Trace t;
  t.run(6s, 8);
  REQUIRE(t.feedback.weight() < 100);
  t.told.clear();
  t.feedback.start(t.now);
  CHECK(t.feedback.weight() == 100);
  t.run(1750ms, 8);
  CHECK(t.told.empty());
  t.read(1);
  CHECK(t.told == std::vector<int>{70});
}

TEST_CASE("the gauge keeps the last reading and the highest") {
  QueueGauge gauge;
  CHECK_FALSE(gauge.known);
  gauge.on_reading({3, 128, false});
  gauge.on_reading({9, 128, false});
  gauge.on_reading({0, 64, false});
  CHECK(gauge.known);
  CHECK(gauge.depth == 0);
  CHECK(gauge.limit == 64);
  CHECK(gauge.depth_max == 9);
  CHECK(gauge.readings == 3);
  CHECK(gauge.readings_nonempty == 2);
}

}  // namespace shoal::task
