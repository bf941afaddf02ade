// Failed, unready and unclaimed servers: the look before they leave, and the floor.
#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

constexpr auto kConnected = VerifyResult::kConnected;
constexpr auto kRefused = VerifyResult::kRefused;
constexpr auto kTimedOut = VerifyResult::kTimedOut;

std::string web(int i) { return "web-" + std::to_string(i); }

void serve(Harness& h, int count) {
  for (int i = 1; i <= count; ++i) h.serve(web(i), i);
}

void fail(Harness& h, int i) { h.member(web(i), i, MemberStatus::kFailed); }

bool serves(Harness& h, int i, std::size_t proxy = 0) {
  const auto* server = h.haproxy(proxy).find("shoal", "shoal-" + web(i) + "-1");
  return server != nullptr && test::FakeHaproxy::serves(*server);
}

int said(const Harness& h, EventKind kind, std::string_view text = "") {
  int count = 0;
  for (const Event& event : h.events) {
    count += event.kind == kind && event.text.view().find(text) != std::string_view::npos ? 1 : 0;
  }
  return count;
}

void unready(Harness& h, int i, std::uint64_t seq) {
  auto word = Harness::word(1, seq);
  word.state = announce::TaskState::kUnready;
  h.announce(web(i), word);
}

}  // namespace

TEST_CASE("A failed member whose place refuses is out at once, the last of its pool too") {
  Harness h;
  serve(h, 1);
  const Instant before = h.now;
  fail(h, 1);
  CHECK(h.now == before);
  CHECK(!serves(h, 1));
  CHECK(h.looked.size() == 1);
  h.run(30s);
  CHECK(h.haproxy().count("shoal") == 0);
  CHECK(said(h, EventKind::kServerHeld) == 0);
}

TEST_CASE("A failed member that still answers leaves at once where the floor has room, and stays ready to return") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 3);
  fail(h, 2);
  CHECK(!serves(h, 2));
  CHECK(serves(h, 1));
  h.run(1h);
  CHECK(h.haproxy().count("shoal") == 3);  // It answers: not deleted after grace.
  h.member(web(2), 2);
  h.announce(web(2), Harness::word(1, 2));
  h.run(20ms);
  CHECK(serves(h, 2));
}

TEST_CASE("A host that is silent leaves a second after its member failed, where the floor has room") {
  Harness h;
  h.look_result = kTimedOut;
  h.time_outs_take_a_second = true;
  serve(h, 2);
  fail(h, 1);
  CHECK(serves(h, 1));
  h.run(1s);
  CHECK(!serves(h, 1));
  CHECK(serves(h, 2));
  h.run(32s);
  CHECK(h.haproxy().count("shoal") == 1);  // Deleted after grace.
}

TEST_CASE("A pool of one and a pool of two keep their last server while its place does not refuse") {
  for (const VerifyResult answer : {kConnected, kTimedOut}) {
    for (const int size : {1, 2}) {
      Harness h;
      h.look_result = answer;
      serve(h, size);
      for (int i = 1; i <= size; ++i) {
        fail(h, i);
        h.run(40s);
      }
      CHECK(h.haproxy().serving("shoal") == 1);
      CHECK(serves(h, size));
      CHECK(said(h, EventKind::kServerHeld) == 1);
      CHECK(h.standing(web(size)).in_rotation);
      h.look_result = kRefused;
      h.run(5s);
      CHECK(h.haproxy().serving("shoal") == 0);
      CHECK(said(h, EventKind::kServerHoldEnded, "refuses") == 1);
    }
  }
}

TEST_CASE("A cut-off sidecar that sees twelve fail one by one over minutes keeps six, although grace deletes others") {
  for (const VerifyResult answer : {kConnected, kTimedOut}) {
    CAPTURE(static_cast<int>(answer));
    Harness h;
    h.look_result = answer;
    serve(h, 12);
    for (int i = 1; i <= 12; ++i) {
      fail(h, i);
      h.run(20s);
      CHECK(h.haproxy().serving("shoal") == static_cast<std::size_t>(std::max(6, 12 - i)));
    }
    // What answers is there to return at once; what is silent has been deleted, and counts all the same.
    CHECK(h.haproxy().count("shoal") == (answer == kConnected ? 12u : 6u));
    CHECK(h.haproxy().serving("shoal") == 6);
    CHECK(h.core->counts().holds == 6);
    for (int i = 1; i <= 12; ++i) {
      h.member(web(i), i);
      h.announce(web(i), Harness::word(1, 2));
    }
    h.run(20ms);
    CHECK(h.haproxy().serving("shoal") == 12);
    CHECK(said(h, EventKind::kServerHoldEnded, "back") == 6);
  }
}

TEST_CASE("Forgotten by gossip is no departure: what answers is kept as long as nobody else is there") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 12);
  for (int i = 1; i <= 12; ++i) fail(h, i);
  h.run(10min);
  CHECK(h.haproxy().serving("shoal") == 6);
  for (int i = 1; i <= 12; ++i) h.member(web(i), i, MemberStatus::kReaped);
  h.run(1h);
  CHECK(h.haproxy().serving("shoal") == 6);
  CHECK(h.haproxy().count("shoal") == 12);
  h.member(web(1), 1, MemberStatus::kLeft);  // A word of its own is another matter.
  h.run(11s);
  CHECK(h.haproxy().find("shoal", "shoal-web-1-1") == nullptr);
}

TEST_CASE("A forgotten member's server whose place answers is deleted while enough others are there") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 3);
  fail(h, 1);
  h.run(10min);
  CHECK(h.haproxy().count("shoal") == 3);
  h.member(web(1), 1, MemberStatus::kReaped);
  h.run(20s);
  CHECK(h.haproxy().count("shoal") == 2);
  CHECK(h.core->registry().find(web(1)) == Registry::kNone);
}

TEST_CASE("Many fail in the same instant: one by one, and never below the floor") {
  Harness h;
  h.look_result = kTimedOut;
  h.time_outs_take_a_second = true;
  serve(h, 12);
  h.answer_looks = true;
  for (int i = 1; i <= 12; ++i) fail(h, i);
  h.run(10s);
  CHECK(h.haproxy().serving("shoal") == 6);
  CHECK(said(h, EventKind::kServerHeld) == 6);
}

TEST_CASE("Among many that fail at once the silent leave, not those that answer sooner") {
  Harness h;
  h.time_outs_take_a_second = true;
  h.looks_take = 1ms;
  h.look_result = kConnected;
  serve(h, 12);
  for (int i = 7; i <= 12; ++i) h.host_result[i] = kTimedOut;
  for (int i = 1; i <= 12; ++i) fail(h, i);
  h.run(10s);
  for (int i = 1; i <= 12; ++i) CHECK(serves(h, i) == (i <= 6));
}

TEST_CASE("More than 64 looks have their turn one after the other") {
  Options options = Harness::default_options();
  options.registry.members_max = 200;
  Harness h(options);
  h.time_outs_take_a_second = true;
  serve(h, 150);
  h.look_result = kTimedOut;
  h.run(1s);
  // All in one instant: no time passes between them.
  for (int i = 1; i <= 150; ++i) fail(h, i);
  CHECK(h.looked.size() == 64);
  h.run(1s);
  CHECK(h.looked.size() == 128);
  h.run(2s);
  CHECK(h.looked.size() == 150);
  CHECK(h.haproxy().serving("shoal") == 75);
}

TEST_CASE("A look that the shell never answers counts as a time-out") {
  Harness h;
  h.answer_looks = false;
  serve(h, 2);
  fail(h, 1);
  h.run(1900ms);
  CHECK(serves(h, 1));
  h.run(200ms);
  CHECK(!serves(h, 1));
}

TEST_CASE("Each failure has a look of its own") {
  Harness h;
  serve(h, 3);
  fail(h, 1);
  CHECK(!serves(h, 1));
  h.member(web(1), 1);
  h.announce(web(1), Harness::word(1, 2));
  h.run(20ms);
  REQUIRE(serves(h, 1));
  h.answer_looks = false;  // The old refusal says nothing of now.
  fail(h, 1);
  h.run(1s);
  CHECK(serves(h, 1));
  CHECK(h.looked.size() == 2);
}

TEST_CASE("A look that began in one absence is no answer in the next") {
  Harness h;
  h.time_outs_take_a_second = true;
  h.look_result = kTimedOut;
  serve(h, 2);
  fail(h, 1);
  h.run(500ms);
  h.member(web(1), 1);
  h.announce(web(1), Harness::word(1, 2));
  h.run(100ms);
  fail(h, 1);
  h.run(600ms);  // The first one's result came.
  CHECK(serves(h, 1));
  h.run(500ms);  // The second one's.
  CHECK(!serves(h, 1));
}

TEST_CASE("A member that comes back while its server is held costs nothing") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 1);
  fail(h, 1);
  h.run(2min);
  CHECK(serves(h, 1));
  h.haproxy().commands.clear();
  h.member(web(1), 1);
  h.run(30s);  // It has not spoken yet.
  h.announce(web(1), Harness::word(1, 2));
  h.run(10s);
  CHECK(serves(h, 1));
  CHECK(h.haproxy().commands.empty());
  CHECK(said(h, EventKind::kServerHoldEnded, "back") == 1);
}

TEST_CASE("A member that is back and silent for a minute is weighed as a failed one again") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 2);
  h.answer_looks = false;
  fail(h, 1);
  h.run(100ms);
  h.answer_looks = true;
  h.member(web(1), 1);
  h.run(58s);
  CHECK(serves(h, 1));
  h.run(10s);
  CHECK(!serves(h, 1));
}

TEST_CASE("A held server whose place falls silent leaves after five minutes of silence") {
  Harness h;
  h.look_result = kTimedOut;
  serve(h, 1);
  fail(h, 1);
  h.run(4min + 59s);
  CHECK(serves(h, 1));
  h.look_result = kConnected;
  h.run(5s);  // One answer, and the time begins anew.
  h.look_result = kTimedOut;
  h.run(4min);
  CHECK(serves(h, 1));
  h.run(70s);
  CHECK(!serves(h, 1));
  CHECK(said(h, EventKind::kServerHoldEnded, "silent") == 1);
  h.run(11s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("What HAProxy's own check shows down is not counted as staying") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 4);
  h.haproxy().find("shoal", "shoal-web-1-1")->check_down = true;
  h.haproxy().find("shoal", "shoal-web-2-1")->check_down = true;
  h.run(6s);
  fail(h, 3);
  h.run(1s);
  CHECK(serves(h, 3));
  CHECK(h.haproxy().serving("shoal") == 2);
  fail(h, 1);  // One that is down already takes nothing away; two others stay.
  h.run(1s);
  CHECK(h.haproxy().find("shoal", "shoal-web-1-1")->admin == 1);
}

TEST_CASE("A held server leaves when new ones make room") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 1);
  fail(h, 1);
  h.run(10s);
  CHECK(serves(h, 1));
  h.serve(web(2), 2);
  h.run(10ms);
  CHECK(!serves(h, 1));
  CHECK(serves(h, 2));
}

TEST_CASE("Departed and left never ask") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 2);
  h.depart(web(1), 1, 2);
  CHECK(!serves(h, 1));
  h.run(10ms);
  h.member(web(2), 2, MemberStatus::kLeft);
  CHECK(!serves(h, 2));
  CHECK(h.looked.empty());
  // One that was held leaves at once when its departure is known.
  Harness held;
  held.look_result = kConnected;
  serve(held, 1);
  fail(held, 1);
  held.run(1s);
  REQUIRE(serves(held, 1));
  held.member(web(1), 1, MemberStatus::kLeft);
  CHECK(!serves(held, 1));
}

TEST_CASE("Those that departed are no part of the pool that the floor is a share of") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 12);
  for (int i = 1; i <= 8; ++i) h.depart(web(i), 1, 2);
  fail(h, 9);
  fail(h, 10);
  h.run(1s);
  CHECK(h.haproxy().serving("shoal") == 2);
  fail(h, 11);
  h.run(1s);
  CHECK(h.haproxy().serving("shoal") == 2);
}

TEST_CASE("Those that refused do not count either") {
  Harness h;
  serve(h, 12);
  for (int i = 1; i <= 8; ++i) fail(h, i);  // Refused.
  h.run(1s);
  h.look_result = kConnected;
  for (int i = 9; i <= 12; ++i) fail(h, i);
  h.run(1s);
  CHECK(h.haproxy().serving("shoal") == 2);
}

TEST_CASE("Unready tasks ask the floor too") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 2);
  unready(h, 1, 2);
  CHECK(!serves(h, 1));
  unready(h, 2, 2);
  CHECK(serves(h, 2));
  CHECK(h.standing(web(2)).reason_text.view().find("haproxy.removal_floor") != std::string_view::npos);
  h.run(10min);
  CHECK(serves(h, 2));
  h.announce(web(1), Harness::word(1, 3));
  h.run(20ms);  // Another one serves: now it may.
  CHECK(serves(h, 1));
  CHECK(!serves(h, 2));
  h.run(10min);
  CHECK(h.haproxy().count("shoal") == 2);  // An unready one is kept in maintenance.
}

TEST_CASE("An adopted server without a fact asks the floor") {
  Harness h;
  serve(h, 2);
  h.start_sidecar();
  h.look_result = kConnected;
  h.cluster_ready();
  h.run(61s);
  CHECK(h.haproxy().serving("shoal") == 1);
  CHECK(h.haproxy().count("shoal") == 2);
  h.run(9min);
  CHECK(h.haproxy().serving("shoal") == 1);
  CHECK(h.haproxy().count("shoal") == 2);
  h.look_result = kRefused;
  h.run(11s);
  CHECK(h.haproxy().serving("shoal") == 0);
  h.run(30s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("An adopted server whose place another task has announced is let go: what answers is that task") {
  Harness h;
  serve(h, 1);
  h.start_sidecar();
  h.look_result = kConnected;
  h.cluster_ready();
  h.run(5s);
  h.member("new-1", 1);
  h.announce("new-1", Harness::word(9, 1));
  h.run(58s);
  CHECK(!serves(h, 1));
  CHECK(h.standing("new-1", 9).in_rotation);
  h.run(40s);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("A failed member whose place another task has by now is not held for that task's sake") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 1);
  fail(h, 1);
  h.run(1s);
  REQUIRE(serves(h, 1));
  h.member("new-1", 1);
  h.announce("new-1", Harness::word(9, 1));
  h.run(20ms);
  CHECK(!serves(h, 1));
  CHECK(h.standing("new-1", 9).in_rotation);
  h.run(40s);
  CHECK(h.haproxy().count("shoal") == 1);
}

TEST_CASE("HAProxy's restart puts the held servers back, if they answer") {
  Harness h;
  h.look_result = kConnected;
  h.time_outs_take_a_second = true;
  serve(h, 2);
  fail(h, 1);
  fail(h, 2);
  h.run(1min);
  REQUIRE(h.haproxy().serving("shoal") == 1);
  h.haproxy().restart();
  h.run(100ms);
  CHECK(h.haproxy().serving("shoal") == 1);
  CHECK(serves(h, 2));
  h.look_result = kTimedOut;
  h.run(10s);
  h.haproxy().restart();
  h.run(5s);
  CHECK(h.haproxy().count("shoal") == 0);
}

TEST_CASE("Each HAProxy has its own pool and its own floor; a place is looked at once for all") {
  Harness h(Harness::default_options(2));
  h.look_result = kTimedOut;
  h.time_outs_take_a_second = true;
  serve(h, 2);
  h.haproxy(1).find("shoal", "shoal-web-2-1")->check_down = true;
  h.run(6s);
  fail(h, 1);
  h.run(1100ms);
  CHECK(h.looked.size() == 1);
  CHECK(!serves(h, 1, 0));
  CHECK(serves(h, 1, 1));
}

TEST_CASE("The floor can be moved") {
  struct Row {
    std::uint32_t percent;
    std::size_t stay;
  };
  for (const Row row : {Row{0, 1}, Row{25, 1}, Row{75, 3}, Row{100, 4}}) {
    Options options = Harness::default_options();
    options.policy.removal_floor = row.percent;
    Harness h(options);
    h.look_result = kConnected;
    serve(h, 4);
    for (int i = 1; i <= 4; ++i) fail(h, i);
    h.run(10s);
    CHECK(h.haproxy().serving("shoal") == row.stay);
  }
}

TEST_CASE("Pools have their floors each") {
  Harness h;
  h.look_result = kConnected;
  serve(h, 1);
  h.member("api-1", 9);
  h.announce("api-1", Harness::word(1, 1, 8080, "other"));
  h.run(20ms);
  fail(h, 1);
  h.run(1s);
  CHECK(serves(h, 1));  // The other pool's server is none of this one.
}

TEST_CASE("A held server is seen as such, with the time when its silence ends") {
  Harness h;
  h.look_result = kTimedOut;
  serve(h, 1);
  fail(h, 1);
  const Instant since = h.now;
  h.run(1s);
  int seen = 0;
  h.core->each_server(h.now, [&](const ServerView& view) {
    ++seen;
    CHECK(view.held);
    CHECK(view.held_until == since + 5min);
  });
  CHECK(seen == 1);
  CHECK(h.core->counts().holds == 1);
  CHECK(h.core->counts().looks >= 1);
}
