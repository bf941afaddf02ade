#include "reactor/process_info.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>

#include "reactor/process.h"
#include "reactor/reaper.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

TEST_CASE("a child is found by its parent, its program and its environment") {
  TestLoop t;
  int ended = 0;
  Reaper reaper(t.loop, [&](pid_t, const ExitStatus&) { ++ended; });
  const SpawnOptions sleeper = {.argv = {"sleep", "60"}, .env = {"PATH=/usr/bin:/bin", "MARK=a b"}};
  const Result<pid_t> one = spawn(sleeper);
  const Result<pid_t> two = spawn(sleeper);
  const Result<pid_t> other = spawn({.argv = {"tail", "-f", "/dev/null"}, .env = {"PATH=/usr/bin:/bin", "MARK=a bc"}});
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  REQUIRE(other.ok());
  CHECK(parent_of(one.value()) == ::getpid());
  const std::vector<pid_t> children = children_of(::getpid());
  for (const pid_t pid : {one.value(), two.value(), other.value()}) {
    CHECK(std::count(children.begin(), children.end(), pid) == 1);
  }
  CHECK(same_program(one.value(), two.value()));
  CHECK_FALSE(same_program(one.value(), other.value()));
  CHECK_FALSE(same_program(one.value(), ::getpid()));
  CHECK(was_given_variable(one.value(), "MARK=a b"));
  CHECK_FALSE(was_given_variable(one.value(), "MARK=a"));
  CHECK_FALSE(was_given_variable(other.value(), "MARK=a b"));
  for (const pid_t pid : {one.value(), two.value(), other.value()}) CHECK(signal_process(pid, SIGKILL).ok());
  REQUIRE(t.run_until([&] { return ended == 3; }));
  CHECK(parent_of(one.value()) == 0);
  CHECK_FALSE(same_program(one.value(), two.value()));
  CHECK_FALSE(was_given_variable(one.value(), "MARK=a b"));
}

TEST_CASE("this program can be executed again, under a name of our choice") {
  TestLoop t;
  ExitStatus status;
  bool ended = false;
  Reaper reaper(t.loop, [&](pid_t, const ExitStatus& how) {
    status = how;
    ended = true;
  });
  SpawnOptions again = {.argv = {"another-name", "--count"}, .program = own_program(), .env = {}};
  const Result<pid_t> pid = spawn(again);
  REQUIRE(pid.ok());
  REQUIRE(t.run_until([&] { return ended; }));
  CHECK(status.code == 0);  // What the test runner gives for --count.
}

}  // namespace
}  // namespace shoal::reactor
