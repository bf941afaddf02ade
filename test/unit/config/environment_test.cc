#include "config/environment.h"

#include <doctest/doctest.h>

using namespace shoal::config;

namespace {
struct Read {
  std::vector<Given> given;
  std::vector<Problem> problems;
  std::vector<Problem> warnings;
};
Read read(const std::vector<std::string>& variables) {
  Read out;
  load_environment(variables, out.given, out.problems, out.warnings);
  return out;
}
}  // namespace

TEST_CASE("a variable sets its setting; other programs' variables are not looked at") {
  const Read out =
      read({"PATH=/bin", "SHOAL_TASK_WEIGHT=7", "SHOAL_GOSSIP_JOIN=a, b", "XSHOAL_TASK_WEIGHT=8", "SHOAL_"});
  CHECK(out.problems.empty());
  CHECK(out.warnings.empty());
  REQUIRE(out.given.size() == 2);
  CHECK(out.given[0].setting->key == "task.weight");
  CHECK(out.given[0].words == Words{"7"});
  CHECK(to_text(out.given[0].origin) == "env SHOAL_TASK_WEIGHT");
  CHECK(out.given[1].words == Words{"a", "b"});
}

TEST_CASE("the value is all behind the first equals sign, and an empty one is none") {
  const Read out = read({"SHOAL_NODE_TAGS=zone=a,rack=b=c", "SHOAL_TASK_BACKEND="});
  REQUIRE(out.given.size() == 1);
  CHECK(out.given[0].words == Words{"zone=a", "rack=b=c"});
}

TEST_CASE("the worker's command is a JSON array") {
  const Read out = read({R"(SHOAL_WORKER_COMMAND=["./server","a,b"])"});
  REQUIRE(out.given.size() == 1);
  CHECK(out.given[0].words == Words{"./server", "a,b"});
  const Read bad = read({"SHOAL_WORKER_COMMAND=./server"});
  CHECK(bad.given.empty());
  REQUIRE(bad.problems.size() == 1);
  CHECK(bad.problems[0].text.find("env SHOAL_WORKER_COMMAND: worker.command = [\"./server\"]: is no JSON array") == 0);
}

TEST_CASE("an unknown SHOAL_ variable is a warning that names the nearest, for container links inject such") {
  const Read out = read({"SHOAL_PORT=tcp://10.0.0.1:80", "SHOAL_TASK_WIEGHT=7"});
  CHECK(out.problems.empty());
  CHECK(out.given.empty());
  REQUIRE(out.warnings.size() == 2);
  CHECK(out.warnings[0].text.find("env SHOAL_PORT: is no setting of shoal") == 0);
  CHECK(out.warnings[1].text.find("did you mean SHOAL_TASK_WEIGHT?") != std::string::npos);
}

TEST_CASE("a variable of a later version is an error that does not show its value") {
  const Read out = read({"SHOAL_ETCD_PASSWORD=c2VjcmV0", "SHOAL_ETCD_ENDPOINTS=c2VjcmV0"});
  REQUIRE(out.problems.size() == 2);
  for (const Problem& problem : out.problems) {
    CHECK(problem.text.find("not in this version") != std::string::npos);
    CHECK(problem.text.find("c2VjcmV0") == std::string::npos);
  }
  CHECK(read({"SHOAL_ETCD_ENDPOINTS="}).problems.empty());
}
