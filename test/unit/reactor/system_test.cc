#include "reactor/system.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace shoal::reactor {
namespace {

TEST_CASE("entropy differs, the wall clock is of this century, and names are not empty") {
  CHECK(entropy_u64() != entropy_u64());
  CHECK(wall_clock_ms() > 1'600'000'000'000);
  CHECK(!hostname().empty());
  CHECK(hostname().find('.') == std::string::npos);
}

TEST_CASE("the way to loopback starts at loopback, and loopback is among the interfaces") {
  const Result<IpAddress> local = local_address_towards({IpAddress::v4(127, 0, 0, 1), 0});
  REQUIRE(local.ok());
  CHECK(local.value() == IpAddress::v4(127, 0, 0, 1));
  CHECK(!local_address_towards({IpAddress{}, 1}).ok());
  const Result<std::vector<Interface>> all = interfaces();
  REQUIRE(all.ok());
  bool found = false;
  for (const Interface& i : all.value()) {
    found = found || (i.loopback && i.up && i.addr == IpAddress::v4(127, 0, 0, 1) && !i.name.empty());
  }
  CHECK(found);
}

TEST_CASE("the environment is seen as it is") {
  ::setenv("SHOAL_TEST_VARIABLE", "a=b", 1);
  REQUIRE(environment_variable("SHOAL_TEST_VARIABLE").has_value());
  CHECK(*environment_variable("SHOAL_TEST_VARIABLE") == "a=b");
  bool found = false;
  for (const std::string_view entry : environment()) found = found || entry == "SHOAL_TEST_VARIABLE=a=b";
  CHECK(found);
  ::unsetenv("SHOAL_TEST_VARIABLE");
  CHECK(!environment_variable("SHOAL_TEST_VARIABLE").has_value());
}

TEST_CASE("a log line that does not fit in a full pipe is dropped, never waited for, and the pipe stays blocking") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  LogSink sink(ends[1]);
  const std::string line(1000, 'l');
  int written = 0;
  while (sink.dropped() == 0 && written < 1000) {
    sink.write(line);
    ++written;
  }
  CHECK(sink.dropped() == 1);
  CHECK(written > 10);
  CHECK((::fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0);
  char buffer[8192];
  CHECK(::read(ends[0], buffer, sizeof buffer) == sizeof buffer);
  LogSink::write(&sink, line);
  CHECK(sink.dropped() == 1);
  CHECK(!is_terminal(ends[1]));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("lines that do not fit wait in their order, so many bytes of them, and are written on as room comes") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  LogSink sink(ends[1]);
  constexpr std::size_t kKept = 10'000;
  sink.keep(kKept);
  const auto line = [](int number) {
    std::string text = std::to_string(number);
    return std::string(999 - text.size(), 'l') + text + "\n";
  };
  int written = 0;
  for (int round = 0; round < 3; ++round) {  // More than the memory's length goes through it.
    for (; sink.dropped() == static_cast<std::uint64_t>(round) && written < 1000; ++written) sink.write(line(written));
    REQUIRE(sink.waiting() == kKept);
    char buffer[64'000];
    const auto got = static_cast<std::size_t>(::read(ends[0], buffer, sizeof buffer));
    REQUIRE(got > 30'000);
    CHECK(std::string_view(buffer, got).find("lll") != std::string_view::npos);
    sink.flush();
    CHECK(sink.waiting() == 0);
    --written;  // The one that was dropped comes again.
  }
  sink.write(line(written++));
  std::string rest;
  for (char buffer[64'000]; rest.size() < 1000 || rest.substr(rest.size() - 1000) != line(written - 1);) {
    const auto got = ::read(ends[0], buffer, sizeof buffer);
    REQUIRE(got > 0);
    rest.append(buffer, static_cast<std::size_t>(got));
  }
  for (int first = written - static_cast<int>(rest.size() / 1000), i = 0; i < static_cast<int>(rest.size() / 1000); ++i)
    CHECK(rest.substr(rest.size() % 1000 + static_cast<std::size_t>(i) * 1000, 1000) == line(first + i));
  CHECK(sink.flush_within(10s));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("the way out waits for the reader of the log so long and no longer, and not for one that has gone") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  LogSink sink(ends[1]);
  sink.keep(10'000);
  const std::string line = std::string(999, 'l') + "\n";
  while (sink.waiting() == 0) sink.write(line);
  const auto began = std::chrono::steady_clock::now();
  CHECK(!sink.flush_within(30ms));
  CHECK(std::chrono::steady_clock::now() - began >= 30ms);
  ::close(ends[0]);
  CHECK(!sink.flush_within(600s));
  ::close(ends[1]);
}

}  // namespace
}  // namespace shoal::reactor
