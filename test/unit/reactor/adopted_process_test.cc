#include "reactor/adopted_process.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>

#include "reactor/process.h"
#include "reactor/process_info.h"
#include "reactor/reaper.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

TEST_CASE("a held process is signalled, its end is told once, and its pid means nothing any more") {
  TestLoop t;
  int reaped = 0;
  Reaper reaper(t.loop, [&](pid_t, const ExitStatus&) { ++reaped; });
  int ends = 0;
  AdoptedProcess process(t.loop, [&] { ++ends; });
  const Result<pid_t> pid = spawn({.argv = {"sleep", "60"}, .env = {"PATH=/usr/bin:/bin"}});
  REQUIRE(pid.ok());
  REQUIRE(process.hold(pid.value()).ok());
  CHECK(process.pid() == pid.value());
  t.run_for(20ms);
  CHECK(ends == 0);
  CHECK(process.signal(SIGTERM).ok());
  REQUIRE(t.run_until([&] { return ends == 1 && reaped == 1; }));
  CHECK_FALSE(process.is_held());
  const Result<void> gone = process.hold(pid.value());
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == ESRCH);
}

TEST_CASE("children that ignore SIGTERM, and what they leave behind, are gone when all are ended") {
  REQUIRE(become_subreaper().ok());
  const std::string script = "trap '' TERM; (trap '' TERM; sleep 60 & wait) & sleep 60 & wait";
  const Result<pid_t> pid = spawn({.argv = {"sh", "-c", script}, .env = {"PATH=/usr/bin:/bin"}});
  REQUIRE(pid.ok());
  CHECK(end_all_children(2s));
  CHECK(children_of(::getpid()).empty());
}

}  // namespace
}  // namespace shoal::reactor
