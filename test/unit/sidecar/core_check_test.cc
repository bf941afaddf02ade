// haproxy.verify = "check": no request before HAProxy's own check has passed.
#include <doctest/doctest.h>

#include "harness.h"

using namespace shoal;
using namespace shoal::sidecar;

namespace {

Options gated() {
  Options options = Harness::default_options();
  options.check_first = true;
  options.policy.verify = false;
  return options;
}

void say_ready(Harness& h, int i) {
  const std::string node = "web-" + std::to_string(i);
  h.member(node, i);
  h.announce(node, Harness::word(1, 1));
}

std::vector<std::string> kinds(const std::vector<std::string>& commands) {
  std::vector<std::string> out;
  for (const std::string& line : commands) {
    const std::size_t slash = line.find("shoal/");
    const std::size_t after = line.find(' ', slash);
    out.push_back(line.substr(0, slash) + (after == std::string::npos ? "" : line.substr(after + 1)));
  }
  return out;
}

}  // namespace

TEST_CASE("Before 3.1 the gate is shut by hand: enabled without weight, health down, and the weight last") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  const auto said = kinds(h.haproxy().commands);
  REQUIRE(said.size() == 5);
  CHECK(said[0].find("add server 10.0.0.1:8080 weight 0 ") == 0);
  CHECK(said[0].find("init-state") == std::string::npos);
  CHECK(said[1] == "enable health ");
  CHECK(said[2] == "enable server ");
  CHECK(said[3] == "set server health down");
  CHECK(said[4] == "set server weight 100");
  CHECK(h.haproxy().serving("shoal") == 0);
  CHECK(h.verified.empty());  // HAProxy's check in place of our connect.
}

TEST_CASE("From 3.1 on `init-state down` does it on the add; a return from maintenance is gated by hand") {
  Harness h(gated());
  h.haproxy().set_version("3.1.5-1");
  h.run(60ms);
  say_ready(h, 1);
  const auto said = kinds(h.haproxy().commands);
  REQUIRE(said.size() == 4);
  CHECK(said[0].ends_with(" init-state down"));
  CHECK(said[3] == "set server weight 100");
  CHECK(h.haproxy().serving("shoal") == 0);
  h.haproxy().only("shoal")->check_down = false;
  h.run(1s);
  REQUIRE(h.standing("web-1").in_rotation);
  auto word = Harness::word(1, 2);
  word.state = announce::TaskState::kUnready;
  h.announce("web-1", word);  // Its place refuses the look.
  h.run(1s);
  h.haproxy().commands.clear();
  h.announce("web-1", Harness::word(1, 3));
  h.run(20ms);
  CHECK(kinds(h.haproxy().commands) == std::vector<std::string>{"enable health ", "enable server ",
                                                                "set server health down", "set server weight 100"});
}

TEST_CASE("The announce is pending, with the reason, until the check has passed; that is noticed soon") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  h.run(700ms);
  auto standing = h.standing("web-1");
  CHECK(!standing.in_rotation);
  CHECK(standing.reason == announce::Reason::kNone);  // Pending, no refusal.
  CHECK(standing.reason_text == "HAProxy's own check of 10.0.0.1:8080 has not passed yet");
  h.haproxy().only("shoal")->check_down = false;
  h.run(900ms);
  CHECK(h.standing("web-1").in_rotation);
  CHECK(h.saw(EventKind::kServerInRotation));
}

TEST_CASE("A check that never passes costs a look ever more rarely") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  h.run(1min);
  const auto before = h.core->counts().batches;
  h.run(1min);
  CHECK(h.core->counts().batches - before <= 13);
  CHECK(h.haproxy().serving("shoal") == 0);
}

TEST_CASE("An add that was cut off before the gate was shut is gated before it gets its weight") {
  Harness h(gated());
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.1", 8080, 77, 0, false, 0, true});
  h.run(10ms);
  say_ready(h, 1);
  h.run(20ms);
  CHECK(kinds(h.haproxy().commands) ==
        std::vector<std::string>{"enable health ", "set server health down", "set server weight 100"});
  CHECK(h.haproxy().serving("shoal") == 0);
}

TEST_CASE("A server without a check is never set down, which it would stay for ever") {
  Harness h(gated());
  h.haproxy().put("shoal", {"shoal-web-1-1", "10.0.0.1", 8080, 77, 1, false, 0, false});  // Added with other options.
  h.run(10ms);
  say_ready(h, 1);
  h.run(20ms);
  CHECK(h.sent("health") == 0);
  CHECK(h.haproxy().serving("shoal") == 1);
}

TEST_CASE("A changed weight of a server that has passed is no new gate") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  h.haproxy().only("shoal")->check_down = false;
  h.run(1s);
  h.haproxy().commands.clear();
  auto word = Harness::word(1, 2);
  word.weight = 7;
  h.announce("web-1", word);
  h.run(20ms);
  CHECK(kinds(h.haproxy().commands) == std::vector<std::string>{"set server weight 7"});
}

TEST_CASE("A restarted HAProxy gets back at once what was in rotation, and what was not through the gate") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  say_ready(h, 2);
  h.run(50ms);
  h.haproxy().find("shoal", "shoal-web-1-1")->check_down = false;
  h.run(6s);
  REQUIRE(h.haproxy().serving("shoal") == 1);
  h.haproxy().restart();
  h.run(60ms);
  CHECK(h.haproxy().count("shoal") == 2);
  CHECK(test::FakeHaproxy::serves(*h.haproxy().find("shoal", "shoal-web-1-1")));
  CHECK(!test::FakeHaproxy::serves(*h.haproxy().find("shoal", "shoal-web-2-1")));
}

TEST_CASE("A restarted sidecar leaves what stands, and a gate that is shut stays shut") {
  Harness h(gated());
  h.run(10ms);
  say_ready(h, 1);
  h.haproxy().commands.clear();
  h.start_sidecar();
  say_ready(h, 1);
  h.run(10s);
  CHECK(h.haproxy().commands.empty());
  CHECK(h.haproxy().serving("shoal") == 0);
}
