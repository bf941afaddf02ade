#include "task/health.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal::task {
namespace {

using Joined = Health::Joined;

struct Trace {
  explicit Trace(const Health::Options& options = {}, std::uint64_t seed = 1) : health(options, Rng(seed), Instant{}) {
    health.start(now, out);
    CHECK(take() == "");
  }

  Instant now{};
  Health health;
  HealthOutbox out;

  std::string take() {
    std::string words;
    for (const HealthEffect& effect : out) {
      if (!words.empty()) words += ", ";
      if (std::holds_alternative<StartHealthProbe>(effect)) words += "probe";
      if (std::holds_alternative<EndHealthProbe>(effect)) words += "end";
      if (std::holds_alternative<ReadHealthQueue>(effect)) words += "read";
      if (std::holds_alternative<JoinQueue>(effect)) words += "join";
      if (std::holds_alternative<LookAtJoined>(effect)) words += "look";
      if (const auto* bad = std::get_if<WorkerUnhealthy>(&effect)) {
        words += "unhealthy after " + std::to_string(bad->failures) + ": " + std::string(to_text(bad->fault));
      }
      if (const auto* good = std::get_if<WorkerHealthy>(&effect)) {
        words += "healthy after " + std::to_string(good->successes);
      }
    }
    out.clear();
    return words;
  }
  std::string deadline() {
    now = health.next_deadline();
    health.on_deadline(now, out);
    return take();
  }
  std::string passed() { return health.on_passed(now, out), take(); }
  std::string failed(HealthFault fault = HealthFault::kRefused) { return health.on_failed(now, fault, out), take(); }
  std::string answer(int status) { return health.on_http_answer(now, status, out), take(); }
  std::string nothing() { return health.on_nothing_learned(now, out), take(); }
  std::string reading(std::uint32_t depth) { return health.on_reading(now, {depth, 128, false}, out), take(); }
  std::string joined(Joined what, std::uint32_t depth) {
    return health.on_joined(now, what, {depth, 128, false}, out), take();
  }
  /// One look with this end; only what was told besides.
  std::string look(bool good) {
    CHECK(deadline() == "probe");
    return good ? passed() : failed();
  }
  void fall() {
    while (health.is_healthy()) look(false);
  }
  /// Looks until it is healthy again.
  std::uint32_t rise() {
    std::uint32_t looks = 0;
    for (; !health.is_healthy(); ++looks) look(true);
    return looks;
  }
};

}  // namespace

TEST_CASE("failures in a row make a worker unhealthy, successes in a row bring it back") {
  Trace t;
  CHECK(t.look(false) == "");
  CHECK(t.look(false) == "");
  CHECK(t.look(true) == "");  // Not in a row any more.
  CHECK(t.look(false) == "");
  CHECK(t.look(false) == "");
  CHECK(t.health.is_healthy());
  CHECK(t.look(false) == "unhealthy after 3: nobody listens");
  CHECK_FALSE(t.health.is_healthy());
  CHECK(t.look(false) == "");
  CHECK(t.look(true) == "");
  CHECK(t.look(false) == "");
  CHECK(t.look(true) == "");
  CHECK(t.look(true) == "healthy after 2");
  CHECK(t.health.is_healthy());
}

TEST_CASE("a look begins an interval with jitter after the end of the last one") {
  Duration shortest = 1h;
  Duration longest{};
  Trace t({.interval = 2s});
  for (int i = 0; i < 200; ++i) {
    const Instant end = t.now;
    CHECK(t.deadline() == "probe");
    shortest = std::min(shortest, t.now - end);
    longest = std::max(longest, t.now - end);
    t.now += 300ms;  // The answer takes its time.
    t.passed();
  }
  CHECK(shortest >= 1500ms);
  CHECK(shortest < 1600ms);
  CHECK(longest <= 2500ms);
  CHECK(longest > 2400ms);
}

TEST_CASE("no answer by the deadline is a failure, and a late one counts for nothing") {
  Trace t({.timeout = 700ms});
  for (int i = 0; i < 3; ++i) {
    CHECK(t.deadline() == "probe");
    const Instant asked = t.now;
    const std::string words = t.deadline();
    CHECK(t.now == asked + 700ms);
    CHECK(words == (i < 2 ? "end" : "end, unhealthy after 3: no answer in time"));
    CHECK(t.passed() == "");
    CHECK(t.answer(200) == "");
  }
  CHECK_FALSE(t.health.is_healthy());
}

TEST_CASE("with the defaults a worker that is busy for five seconds stays") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Trace t({}, seed);
    t.deadline();
    const Instant busy_until = t.now + 5s;
    while (t.now < busy_until) {
      if (t.health.next_deadline() > busy_until) break;
      t.deadline();
    }
    CHECK(t.health.is_healthy());
  }
}

TEST_CASE("an answer is good with 2xx and 3xx; the last bad status is kept") {
  Trace t({.fall = 1});
  for (const int good : {200, 204, 302, 399}) {
    t.deadline();
    CHECK(t.answer(good) == "");
  }
  for (const int bad : {101, 400, 404, 500, 503}) {
    Trace one({.fall = 1});
    one.deadline();
    CHECK(one.answer(bad) == "unhealthy after 1: the answer is neither 2xx nor 3xx");
    CHECK(one.health.http_status() == bad);
  }
}

TEST_CASE("what could not be tried is neither a failure nor a success") {
  Trace t({.fall = 2});
  t.look(false);
  for (std::uint32_t i = 1; i <= 20; ++i) {
    CHECK(t.deadline() == "probe");
    CHECK(t.nothing() == "");
    CHECK(t.health.untried() == i);
  }
  CHECK(t.health.is_healthy());
  CHECK(t.look(false) == "unhealthy after 2: nobody listens");
  CHECK(t.health.untried() == 0);
  t.deadline();
  t.nothing();
  CHECK(t.look(true) == "");
  CHECK(t.look(true) == "healthy after 2");
}

TEST_CASE("each fall within ten minutes doubles the successes that are needed, up to 30") {
  Trace t;
  std::uint32_t wanted = 2;
  for (int i = 0; i < 8; ++i) {
    t.fall();
    CHECK(t.health.rise_needed() == wanted);
    CHECK(t.rise() == wanted);
    wanted = std::min(wanted * 2, std::uint32_t{30});
  }
  // Ten quiet minutes, and all is forgiven.
  const Instant fell = t.now;
  while (t.now < fell + Health::kDampedFor) t.look(true);
  t.fall();
  CHECK(t.rise() == 2);
}

TEST_CASE("a rise above 30 that the operator wants is kept") {
  Trace t({.rise = 50});
  t.fall();
  CHECK(t.rise() == 50);
  t.fall();
  CHECK(t.rise() == 50);
}

TEST_CASE("another worker begins as healthy with nothing remembered") {
  Trace t;
  for (int i = 0; i < 3; ++i) {
    t.fall();
    if (i < 2) t.rise();
  }
  t.health.start(t.now, t.out);
  CHECK(t.take() == "");
  CHECK(t.health.is_healthy());
  CHECK(t.health.failures() == 0);
  t.fall();
  CHECK(t.rise() == 2);
}

TEST_CASE("after a stop nothing is asked or told") {
  Trace t({.fall = 1});
  t.deadline();
  t.health.stop(t.now, t.out);
  CHECK(t.take() == "end");
  CHECK(t.failed() == "");
  CHECK(t.passed() == "");
  CHECK(t.health.next_deadline() == kNever);
  t.health.stop(t.now, t.out);
  CHECK(t.take() == "");
  CHECK(t.health.is_healthy());
}

TEST_CASE("an empty accept queue is a success, with no connection made") {
  Trace t({.mode = HealthMode::kQueue});
  for (int i = 0; i < 10; ++i) {
    CHECK(t.deadline() == "read");
    CHECK(t.reading(0) == "");
  }
  CHECK(t.health.failures() == 0);
}

TEST_CASE("a connection that joins the queue and is not accepted for all the intervals makes it unhealthy") {
  Trace t({.mode = HealthMode::kQueue, .interval = 2s, .fall = 3});
  CHECK(t.deadline() == "read");
  CHECK(t.reading(4) == "join");
  const Instant joined = t.now;
  std::string told;
  while (told.empty()) {
    CHECK(t.deadline() == "look");
    told = t.joined(Joined::kWaiting, 5);
    if (told.empty()) CHECK(t.now < joined + 6s);
  }
  CHECK(told == "unhealthy after 3: a connection waits to be accepted");
  CHECK(t.now - joined >= 6s);
  CHECK(t.now - joined <= 6250ms);
  // It stays in the queue, and is what shows that the worker goes on.
  CHECK(t.deadline() == "look");
  CHECK(t.joined(Joined::kWaiting, 5) == "");
  CHECK(t.deadline() == "look");
  CHECK(t.joined(Joined::kAccepted, 2) == "end");
  CHECK(t.deadline() == "read");
  CHECK(t.reading(0) == "healthy after 2");
}

TEST_CASE("a queue that is never empty is no fault while our connection is accepted") {
  Trace t({.mode = HealthMode::kQueue, .fall = 1});
  for (int i = 0; i < 20; ++i) {
    CHECK(t.deadline() == "read");
    CHECK(t.reading(100) == "join");
    CHECK(t.deadline() == "look");
    CHECK(t.joined(Joined::kWaiting, 150) == "");
    CHECK(t.deadline() == "look");
    CHECK(t.joined(Joined::kAccepted, 200) == "end");  // Longer than before: that says nothing.
  }
  CHECK(t.health.is_healthy());
}

TEST_CASE("where the kernel does not tell, a queue that got shorter was served") {
  Trace t({.mode = HealthMode::kQueue, .interval = 1s, .fall = 1});
  t.deadline();
  t.reading(3);
  t.deadline();
  CHECK(t.joined(Joined::kUnknown, 4) == "");
  t.deadline();
  SUBCASE("shorter than it was at its longest") { CHECK(t.joined(Joined::kUnknown, 3) == "end"); }
  SUBCASE("longer") {
    CHECK(t.joined(Joined::kUnknown, 9) == "");
    t.deadline();
    CHECK(t.joined(Joined::kUnknown, 9) == "");
    t.deadline();
    CHECK(t.joined(Joined::kUnknown, 9) == "unhealthy after 1: a connection waits to be accepted");
  }
}

TEST_CASE("a queue that cannot be joined or read is no failure") {
  Trace t({.mode = HealthMode::kQueue, .fall = 1});
  t.deadline();
  t.reading(3);
  CHECK(t.nothing() == "");
  CHECK(t.deadline() == "read");
  CHECK(t.deadline() == "end");  // No reading came.
  CHECK(t.deadline() == "read");
  CHECK(t.health.is_healthy());
  CHECK(t.health.untried() == 2);
}

}  // namespace shoal::task
