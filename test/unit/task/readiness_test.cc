#include "task/readiness.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace shoal::task {
namespace {

struct Trace {
  explicit Trace(const Readiness::Options& options = {}) : readiness(options, Rng(1), Instant{}) {}

  Instant now{};
  Readiness readiness;
  ReadinessOutbox out;

  /// What has been asked for since, as words.
  std::string take() {
    std::string words;
    for (const ReadinessEffect& effect : out) {
      if (!words.empty()) words += ", ";
      if (std::holds_alternative<ProbeConnect>(effect)) words += "connect";
      if (std::holds_alternative<ProbeHttp>(effect)) words += "get";
      if (std::holds_alternative<ReadQueue>(effect)) words += "read";
      if (std::holds_alternative<AskOwner>(effect)) words += "whose";
      if (std::holds_alternative<SendProbeRequest>(effect)) words += "request";
      if (std::holds_alternative<SendProbeByte>(effect)) words += "byte";
      if (std::holds_alternative<CloseProbe>(effect)) words += "close";
      if (const auto* r = std::get_if<WorkerReady>(&effect)) words += "ready by " + std::string(to_text(r->by));
    }
    for (const ReadinessEffect& effect : out) {
      if (const auto* late = std::get_if<NotReadyYet>(&effect)) {
        words += "not ready after " + std::to_string(to_ms(late->elapsed)) + " ms, status " +
                 std::to_string(late->http_status);
      }
    }
    out.clear();
    return words;
  }
  std::string started() { return readiness.on_worker_started(now, out), take(); }
  std::string started_beside() { return readiness.on_worker_started(now, out, true), take(); }
  std::string owner(Owner owner, bool defer = false) { return readiness.on_owner(now, owner, defer, out), take(); }
  std::string notify() { return readiness.on_notify_ready(now, out), take(); }
  std::string connected() { return readiness.on_connected(now, out), take(); }
  std::string failed() { return readiness.on_connect_failed(now, out), take(); }
  std::string reading(std::uint32_t depth, bool defer = false) {
    return readiness.on_reading(now, {depth, 128, defer}, out), take();
  }
  std::string answer(int status) { return readiness.on_http_answer(now, status, out), take(); }
  std::string deadline() {
    now = readiness.next_deadline();
    readiness.on_deadline(now, out);
    return take();
  }
};

}  // namespace

TEST_CASE("a worker is ready when it has taken our connection from the accept queue") {
  Trace t;
  CHECK(t.started() == "connect");
  CHECK(t.connected() == "read");
  CHECK(t.reading(1) == "");
  for (int i = 0; i < 20; ++i) {
    CHECK(t.deadline() == "read");
    CHECK(t.reading(1) == "");
  }
  CHECK(t.deadline() == "read");
  CHECK(t.reading(0) == "close, ready by accept-queue");
  CHECK(t.readiness.next_deadline() == kNever);
  CHECK_FALSE(t.readiness.is_watching());
}

TEST_CASE("one empty reading is not enough where the queue was never seen filled") {
  Trace t;
  t.started();
  t.connected();
  CHECK(t.reading(0) == "");
  CHECK(t.deadline() == "read");
  SUBCASE("the connection appears in the queue a moment later") {
    CHECK(t.reading(1) == "");
    CHECK(t.deadline() == "read");
    CHECK(t.reading(0) == "close, ready by accept-queue");
  }
  SUBCASE("it stays empty: the worker was quicker than we") { CHECK(t.reading(0) == "close, ready by accept-queue"); }
}

TEST_CASE("with TCP_DEFER_ACCEPT an empty queue proves nothing until a byte was sent") {
  Trace t;
  t.started();
  t.connected();
  CHECK(t.reading(0, true) == "byte");
  t.deadline();
  CHECK(t.reading(1, true) == "");
  t.deadline();
  CHECK(t.reading(1, true) == "");
  t.deadline();
  CHECK(t.reading(0, true) == "close, ready by accept-queue");
}

TEST_CASE("a filled queue seen before the byte does not count after it") {
  Trace t;
  t.started();
  t.connected();
  CHECK(t.reading(1, false) == "");
  t.deadline();
  CHECK(t.reading(0, true) == "byte");  // The worker has just set the option.
  t.deadline();
  CHECK(t.reading(0, true) == "");
  t.deadline();
  CHECK(t.reading(0, true) == "close, ready by accept-queue");
}

TEST_CASE("the queue is read at growing distances, from 10 ms to 250 ms") {
  Trace t;
  t.started();
  t.connected();
  Duration longest{};
  t.reading(1);
  CHECK(t.readiness.next_deadline() - t.now <= 13ms);
  for (int i = 0; i < 30; ++i) {
    t.deadline();
    t.reading(1);
    longest = std::max(longest, t.readiness.next_deadline() - t.now);
  }
  CHECK(longest > 200ms);
  CHECK(longest <= 313ms);
}

TEST_CASE("READY=1 wins over the probe, once") {
  Trace t;
  t.started();
  t.connected();
  t.reading(1);
  CHECK(t.notify() == "close, ready by notify");
  CHECK(t.notify() == "");
  CHECK(t.reading(0) == "");
}

TEST_CASE("with notify alone nothing is probed") {
  Trace t({.mode = ReadyMode::kNotify});
  CHECK(t.started() == "");
  CHECK(t.notify() == "ready by notify");
  CHECK(t.readiness.next_deadline() == kNever);
}

TEST_CASE("where the worker binds the port itself a connection is proof, and is tried until it succeeds") {
  for (const Readiness::Options& options : {Readiness::Options{.mode = ReadyMode::kTcp},
                                            Readiness::Options{.mode = ReadyMode::kAuto, .socket_is_passed = false}}) {
    Trace t(options);
    CHECK(t.started() == "connect");
    CHECK(t.failed() == "");
    CHECK(t.deadline() == "connect");
    CHECK(t.failed() == "");
    CHECK(t.deadline() == "connect");
    CHECK(t.connected() == "close, ready by connect");
  }
}

TEST_CASE("with http the answer's status decides, and it is asked again until it is good") {
  Trace t({.mode = ReadyMode::kHttp});
  CHECK(t.started() == "get");
  CHECK(t.connected() == "");  // In pass mode the kernel does that for a worker that is not there.
  CHECK(t.failed() == "");
  CHECK(t.deadline() == "get");
  for (const int bad : {101, 199, 400, 404, 500, 503}) {
    CHECK(t.answer(bad) == "");
    CHECK(t.answer(200) == "");  // To a question that is over.
    CHECK(t.deadline() == "get");
  }
  CHECK(t.notify() == "");
  SUBCASE("2xx") { CHECK(t.answer(204) == "ready by http"); }
  SUBCASE("3xx") { CHECK(t.answer(302) == "ready by http"); }
  CHECK(t.readiness.next_deadline() == kNever);
}

TEST_CASE("a GET that is not answered is given up after 5 s and made anew") {
  Trace t({.mode = ReadyMode::kHttp, .look_after = Duration{}});
  t.started();
  CHECK(t.deadline() == "close");
  CHECK(t.now == Instant{} + 5s);
  CHECK(t.deadline() == "get");
}

TEST_CASE("a worker that takes long is told of, at doubling distances, with its last status") {
  Trace t({.mode = ReadyMode::kHttp});
  t.started();
  t.answer(503);
  std::vector<std::string> told;
  while (t.now < Instant{} + 40s) {
    const std::string words = t.deadline();
    if (words.find("not ready") != std::string::npos) told.push_back(words.substr(words.find("not ready")));
    if (words.find("get") != std::string::npos) t.answer(503);
  }
  REQUIRE(told.size() == 3);
  CHECK(told[0] == "not ready after 5000 ms, status 503");
  CHECK(told[1] == "not ready after 15000 ms, status 503");
  CHECK(told[2] == "not ready after 35000 ms, status 503");
  while (t.deadline() != "get") {
  }
  t.answer(200);
  CHECK(t.readiness.next_deadline() == kNever);
}

TEST_CASE("a worker that was asked to wait a while is not told of") {
  Trace t({.mode = ReadyMode::kDelay, .delay = 60s});
  t.started();
  CHECK(t.readiness.next_deadline() == Instant{} + 60s);
  CHECK(t.deadline() == "ready by delay");
}

TEST_CASE("with notify a late worker is told of as well") {
  Trace t({.mode = ReadyMode::kNotify});
  t.started();
  CHECK(t.deadline() == "not ready after 5000 ms, status 0");
  CHECK(t.notify() == "ready by notify");
  CHECK(t.readiness.next_deadline() == kNever);
}

TEST_CASE("a probe without any result is made anew") {
  Trace t;
  t.started();
  CHECK(t.deadline() == "close");
  CHECK(t.deadline() == "connect");
}

TEST_CASE("a fixed delay is just that") {
  Trace t({.mode = ReadyMode::kDelay, .delay = 3s});
  CHECK(t.started() == "");
  CHECK(t.notify() == "");
  CHECK(t.readiness.next_deadline() == Instant{} + 3s);
  CHECK(t.deadline() == "ready by delay");
}

TEST_CASE("after a stop nothing is asked or told") {
  Trace t;
  t.started();
  t.connected();
  t.readiness.stop(t.now, t.out);
  CHECK(t.take() == "close");
  CHECK(t.reading(0) == "");
  CHECK(t.notify() == "");
  CHECK(t.readiness.next_deadline() == kNever);
}

TEST_CASE("another worker is judged anew") {
  Trace t;
  t.started();
  t.connected();
  t.reading(1);
  t.deadline();
  CHECK(t.reading(0) == "close, ready by accept-queue");
  CHECK(t.started() == "connect");
  t.connected();
  CHECK(t.reading(0) == "");  // What was seen with the first one does not count.
}

TEST_CASE("beside another worker a connection counts only where this worker has accepted it") {
  Trace t;
  CHECK(t.started_beside() == "connect");
  CHECK(t.connected() == "whose");
  CHECK(t.owner(Owner::kNobodyYet) == "");
  CHECK(t.deadline() == "whose");
  CHECK(t.owner(Owner::kAnother) == "close");
  for (int i = 0; i < 20; ++i) {
    CHECK(t.deadline() == "connect");
    CHECK(t.readiness.taken_by_others() == static_cast<std::uint32_t>(i + 1));
    const Instant asked = t.now;
    CHECK(t.connected() == "whose");
    CHECK(t.owner(i % 2 == 0 ? Owner::kAnother : Owner::kUnknown) == "close");
    // Not sooner than a quarter of a second in the end: the other worker has better things to do.
    if (i > 5) CHECK(t.readiness.next_deadline() - asked >= 180ms);
  }
  CHECK(t.deadline() == "connect");
  CHECK(t.connected() == "whose");
  CHECK(t.owner(Owner::kThisWorker) == "close, ready by accept-queue");
  CHECK_FALSE(t.readiness.is_watching());
  // The next one is alone again.
  CHECK(t.started() == "connect");
  CHECK(t.readiness.taken_by_others() == 0);
  CHECK(t.connected() == "read");
}

TEST_CASE("beside another worker a port that answers proves nothing, and READY=1 still does") {
  Trace tcp({.mode = ReadyMode::kTcp, .socket_is_passed = false});
  tcp.started_beside();
  CHECK(tcp.connected() == "whose");
  CHECK(tcp.owner(Owner::kThisWorker) == "close, ready by connect");
  Trace notify;
  notify.started_beside();
  notify.connected();
  CHECK(notify.notify() == "close, ready by notify");
}

TEST_CASE("beside another worker the GET is sent where this worker has the connection") {
  Trace t({.mode = ReadyMode::kHttp});
  CHECK(t.started_beside() == "connect");
  CHECK(t.connected() == "whose");
  CHECK(t.answer(200) == "");  // Nobody has asked yet.
  CHECK(t.owner(Owner::kThisWorker) == "request");
  CHECK(t.answer(503) == "");
  CHECK(t.deadline() == "connect");
  CHECK(t.connected() == "whose");
  CHECK(t.owner(Owner::kThisWorker) == "request");
  CHECK(t.answer(200) == "ready by http");
}

TEST_CASE("beside another worker a silent connection that the kernel keeps back gets its byte once") {
  Trace t;
  t.started_beside();
  t.connected();
  CHECK(t.owner(Owner::kNobodyYet, true) == "byte");
  CHECK(t.deadline() == "whose");
  CHECK(t.owner(Owner::kNobodyYet, true) == "");
}

}  // namespace shoal::task
