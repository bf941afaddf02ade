#include "task/worker_env.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace shoal::task {
namespace {

WorkerPlan plan_of(std::vector<std::string> command) {
  WorkerPlan plan;
  plan.command = std::move(command);
  plan.addr = IpAddress::v4(10, 0, 3, 7);
  plan.port = 41233;
  return plan;
}

bool has(const WorkerImage& image, std::string_view entry) {
  return std::find(image.environment.begin(), image.environment.end(), entry) != image.environment.end();
}

bool has_key(const WorkerImage& image, const std::string& key) {
  return std::any_of(image.environment.begin(), image.environment.end(),
                     [&](const std::string& e) { return e.compare(0, key.size() + 1, key + "=") == 0; });
}

}  // namespace

TEST_CASE("placeholders are filled in, anywhere in an argument") {
  const auto image = make_worker_image(plan_of({"./server", "--bind={addr}:{port}", "fd://{fd}", "{port}{port}"}));
  REQUIRE(image.ok());
  CHECK(image.value().argv == std::vector<std::string>{"./server", "--bind=10.0.3.7:41233", "fd://3", "4123341233"});
}

TEST_CASE("a double brace is a brace, and a brace around no word is itself") {
  const auto image =
      make_worker_image(plan_of({"x", "{{port}", "{{{port}", "{\"a\": 1}", "{print $1}", "{", "a{", "{}", "}"}));
  REQUIRE(image.ok());
  CHECK(image.value().argv ==
        std::vector<std::string>{"x", "{port}", "{41233", "{\"a\": 1}", "{print $1}", "{", "a{", "{}", "}"});
}

TEST_CASE("an unknown placeholder is an error that names it") {
  const auto image = make_worker_image(plan_of({"x", "--p={prot}"}));
  REQUIRE_FALSE(image.ok());
  CHECK(image.error().message.find("{prot}") != std::string::npos);
  CHECK(image.error().message.find("{{") != std::string::npos);
  CHECK_FALSE(make_worker_image(plan_of({})).ok());
  CHECK_FALSE(make_worker_image(plan_of({""})).ok());
}

TEST_CASE("the worker learns its socket in our words and in systemd's") {
  WorkerPlan plan = plan_of({"x"});
  plan.notify_socket = "@shoal/notify";
  const auto image = make_worker_image(plan);
  REQUIRE(image.ok());
  CHECK(has(image.value(), "SHOAL_PORT=41233"));
  CHECK(has(image.value(), "SHOAL_ADDR=10.0.3.7"));
  CHECK(has(image.value(), "SHOAL_LISTENER_FD=3"));
  CHECK(has(image.value(), "LISTEN_FDS=1"));
  CHECK(has(image.value(), "LISTEN_FDNAMES=shoal"));
  CHECK(has(image.value(), "NOTIFY_SOCKET=@shoal/notify"));
}

TEST_CASE("LISTEN_PID is completed after fork, without leading zeros") {
  auto image = make_worker_image(plan_of({"x"}));
  REQUIRE(image.ok());
  std::string& entry = image->environment[image->listen_pid];
  write_listen_pid(entry.data(), 1);
  CHECK(std::string(entry.c_str()) == "LISTEN_PID=1");
  write_listen_pid(entry.data(), 2147483647);
  CHECK(std::string(entry.c_str()) == "LISTEN_PID=2147483647");
  write_listen_pid(entry.data(), 40960);
  CHECK(std::string(entry.c_str()) == "LISTEN_PID=40960");
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
                                           "EMPTY=",
                                           "SHOALS=1",
                                           "LISTEN_FDNAMES=a:b",
                                           "MY_SHOAL_X=1"};
  WorkerPlan plan = plan_of({"x"});
  plan.parent_environment = parent;
  const auto image = make_worker_image(plan);
  REQUIRE(image.ok());
  CHECK(has(image.value(), "PATH=/bin"));
  CHECK(has(image.value(), "EMPTY="));
  CHECK(has(image.value(), "SHOALS=1"));
  CHECK(has(image.value(), "MY_SHOAL_X=1"));
  CHECK_FALSE(has_key(image.value(), "SHOAL_GOSSIP_KEY"));
  CHECK_FALSE(has_key(image.value(), "NOTIFY_SOCKET"));
  CHECK_FALSE(has_key(image.value(), "WATCHDOG_USEC"));
  for (const std::string key : {"SHOAL_PORT", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    CAPTURE(key);
    const auto count =
        std::count_if(image.value().environment.begin(), image.value().environment.end(),
                      [&](const std::string& e) { return e.compare(0, key.size() + 1, key + "=") == 0; });
    CHECK(count == 1);
  }
}

TEST_CASE("a worker that binds the port itself gets no descriptor") {
  WorkerPlan plan = plan_of({"x", "{port}"});
  plan.pass_listener = false;
  const auto image = make_worker_image(plan);
  REQUIRE(image.ok());
  CHECK(has(image.value(), "SHOAL_PORT=41233"));
  CHECK_FALSE(has_key(image.value(), "SHOAL_LISTENER_FD"));
  CHECK_FALSE(has_key(image.value(), "LISTEN_FDS"));
  CHECK(image.value().listen_pid == WorkerImage::kNoListenPid);
  plan.command = {"x", "{fd}"};
  CHECK_FALSE(make_worker_image(plan).ok());
}

}  // namespace shoal::task
