#include "reactor/pipe_reader.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "reactor/process.h"
#include "reactor/reaper.h"
#include "test_loop.h"

namespace shoal::reactor {
namespace {

struct Reading {
  TestLoop t;
  std::string text;
  std::array<std::uint8_t, 4096> memory{};
  PipeReader reader{t.loop, [this] {
                      const std::size_t size = reader.read(memory);
                      text += as_text(Bytes(memory).first(size));
                    }};
};

TEST_CASE("a child's two streams come apart, to their ends, and its writing end is blocking") {
  Reading out, err;
  pid_t pid = 0;
  ExitStatus status{.code = -1};
  Reaper reaper(out.t.loop, [&](pid_t ended, const ExitStatus& how) {
    if (ended == pid) status = how;
  });
  {
    Result<OwnedFd> one = out.reader.open();
    Result<OwnedFd> two = err.reader.open();
    REQUIRE(one.ok());
    REQUIRE(two.ok());
    const Result<pid_t> spawned =
        spawn({.argv = {"sh", "-c", "echo out; echo err >&2; grep -o 'flags:.*' /proc/self/fdinfo/1; exit 3"},
               .env = {"PATH=/usr/bin:/bin"},
               .stdout_fd = one.value().get(),
               .stderr_fd = two.value().get()});
    REQUIRE(spawned.ok());
    pid = spawned.value();
  }
  REQUIRE(out.t.run_until([&] { return status.code >= 0 && !out.reader.is_open(); }));
  REQUIRE(err.t.run_until([&] { return !err.reader.is_open(); }));
  CHECK(status.code == 3);
  CHECK(out.text.substr(0, 4) == "out\n");
  const std::string flags = out.text.substr(out.text.find_last_of('\t') + 1);
  CHECK((std::stol(flags, nullptr, 8) & 04000) == 0);  // O_NONBLOCK
  CHECK(err.text == "err\n");
}

TEST_CASE("while a pipe is paused its writer's words stay in it") {
  Reading r;
  Result<OwnedFd> end = r.reader.open();
  REQUIRE(end.ok());
  r.reader.pause(true);
  REQUIRE(::write(end.value().get(), "words", 5) == 5);
  bool later = false;
  Timer timer(r.t.loop, [&] { later = true; });
  timer.at(r.t.loop.now() + 20ms);
  REQUIRE(r.t.run_until([&] { return later; }));
  CHECK(r.text.empty());
  r.reader.pause(false);
  REQUIRE(r.t.run_until([&] { return r.text == "words"; }));
  CHECK(r.reader.is_open());
  end.value().reset();
  REQUIRE(r.t.run_until([&] { return !r.reader.is_open(); }));
  CHECK(r.reader.read(r.memory) == 0);
}

}  // namespace
}  // namespace shoal::reactor
