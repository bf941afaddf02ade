#include "task/worker_env.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace shoal::task {
namespace {

WorkerSurroundings surroundings() {
  WorkerSurroundings out;
  out.addr = IpAddress::v4(10, 0, 3, 7);
  out.port = 41233;
  return out;
}

bool has(const std::vector<std::string>& environment, std::string_view entry) {
  return std::find(environment.begin(), environment.end(), entry) != environment.end();
}

std::ptrdiff_t count(const std::vector<std::string>& environment, std::string_view key) {
  return std::count_if(environment.begin(), environment.end(), [&](const std::string& entry) {
    return entry.compare(0, key.size() + 1, std::string(key) + "=") == 0;
  });
}

}  // namespace

TEST_CASE("the worker learns its socket in our words and in systemd's") {
  WorkerSurroundings around = surroundings();
  around.notify_socket = "@shoal/notify";
  const auto environment = worker_environment(around);
  CHECK(has(environment, "SHOAL_PORT=41233"));
  CHECK(has(environment, "SHOAL_ADDR=10.0.3.7"));
  CHECK(has(environment, "SHOAL_LISTENER_FD=3"));
  CHECK(has(environment, "LISTEN_FDS=1"));
  CHECK(has(environment, "LISTEN_FDNAMES=shoal"));
  CHECK(has(environment, "NOTIFY_SOCKET=@shoal/notify"));
  CHECK(count(worker_environment(surroundings()), "NOTIFY_SOCKET") == 0);
}

TEST_CASE("a worker that binds for itself learns its port and of no descriptor") {
  WorkerSurroundings around = surroundings();
  around.notify_socket = "@shoal/notify";
  around.socket_is_passed = false;
  const auto environment = worker_environment(around);
  CHECK(has(environment, "SHOAL_PORT=41233"));
  CHECK(has(environment, "SHOAL_ADDR=10.0.3.7"));
  CHECK(has(environment, "NOTIFY_SOCKET=@shoal/notify"));
  for (const char* gone : {"SHOAL_LISTENER_FD", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"}) {
    CHECK(count(environment, gone) == 0);
  }
}

TEST_CASE("nothing of shoal's own goes on to the worker, everything else does") {
  const std::vector<const char*> parent = {"PATH=/bin",
                                           "SHOAL_GOSSIP_KEY=secret",
                                           "SHOAL_PORT=tcp://172.17.0.2:80",
                                           "SHOAL_=",
                                           "LISTEN_PID=1",
                                           "LISTEN_FDS=2",
                                           "NOTIFY_SOCKET=/run/systemd/notify",
                                           "WATCHDOG_USEC=1",
                                           "no equals sign",
                                           "EMPTY=",
                                           "SHOALS=1",
                                           "LISTEN_FDNAMES=a:b",
                                           "MY_SHOAL_X=1"};
  WorkerSurroundings around = surroundings();
  around.parent_environment = parent;
  const auto environment = worker_environment(around);
  for (const char* kept : {"PATH=/bin", "EMPTY=", "SHOALS=1", "MY_SHOAL_X=1"}) CHECK(has(environment, kept));
  for (const char* gone : {"SHOAL_GOSSIP_KEY", "SHOAL_", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID"}) {
    CHECK(count(environment, gone) == 0);
  }
  for (const char* once : {"SHOAL_PORT", "LISTEN_FDS", "LISTEN_FDNAMES"}) CHECK(count(environment, once) == 1);
  CHECK_FALSE(has(environment, "no equals sign"));
}

}  // namespace shoal::task
