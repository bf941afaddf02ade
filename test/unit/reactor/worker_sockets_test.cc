#include "reactor/worker_sockets.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "reactor/fd.h"
#include "reactor/listener.h"

namespace shoal::reactor {
namespace {

bool has(const std::vector<ListeningSocket>& all, const Endpoint& at) {
  return std::count_if(all.begin(), all.end(),
                       [&](const ListeningSocket& s) { return s.at == at && s.pid == ::getpid(); }) == 1;
}

TEST_CASE("a process's listening sockets are found, in both families, except the one that is known") {
  const pid_t group = ::getpgrp();
  auto one = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 16);
  auto two = listen_service({*IpAddress::parse("::1"), 0}, 16);
  auto bound_only = reserve_port({IpAddress::v4(127, 0, 0, 1), 0});
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  REQUIRE(bound_only.ok());
  const auto all = listeners_of_group(group, -1);
  CHECK(has(all, one->bound));
  CHECK(has(all, two->bound));
  CHECK_FALSE(has(all, bound_only->bound));
  const auto others = listeners_of_group(group, one->fd.get());
  CHECK_FALSE(has(others, one->bound));
  CHECK(has(others, two->bound));
  const Endpoint gone = one->bound;
  one->fd.reset();
  CHECK_FALSE(has(listeners_of_group(group, -1), gone));
}

TEST_CASE("whether somebody of a group has a socket is told, or that nobody can know") {
  auto one = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 16);
  REQUIRE(one.ok());
  struct stat status {};
  REQUIRE(::fstat(one->fd.get(), &status) == 0);
  CHECK(holds_socket(::getpgrp(), status.st_ino) == Holds::kYes);
  one->fd.reset();
  auto other = listen_service({IpAddress::v4(127, 0, 0, 1), 0}, 16);
  CHECK(holds_socket(::getpgrp(), status.st_ino) == Holds::kNo);
  CHECK(holds_socket(999'999'999, status.st_ino) == Holds::kUnknown);
}

TEST_CASE("nothing is found for a group that is not there") {
  CHECK(listeners_of_group(0, -1).empty());
  CHECK(listeners_of_group(-1, -1).empty());
  CHECK(listeners_of_group(999'999'999, -1).empty());
}

}  // namespace
}  // namespace shoal::reactor
