#include "admin/status.h"

#include <doctest/doctest.h>

using namespace shoal;
using namespace shoal::admin;

namespace {

Status of_task() {
  Status s;
  s.name = "web \"1\"";
  s.role = "task";
  s.version = "0.1.0";
  s.pid = 7;
  s.uptime_ms = 90061000;
  s.address = "10.0.0.1:7947";
  s.members = 4;
  s.alive = 3;
  s.failed = 1;
  s.health = {true, "well"};
  s.ready = {false, "not yet"};
  TaskStatus& task = s.task.emplace();
  task.state = "ready";
  task.workers = {{8, 2, "running", 1000}};
  task.restarts = 1;
  task.listen = "0.0.0.0:8080";
  task.port = 65535;
  task.weight = 256;
  task.accept_queue = AcceptQueue{3, 128};
  SidecarRow row;
  row.name = "proxy";
  row.state = "refused";
  row.reason = "HAProxy has no backend `web`";
  row.needs_a_fix = true;
  row.proxies_total = 2;
  task.sidecars = {row, row};
  task.sidecars[1].answered_ms = 0;
  task.sidecars_left_out = 3;
  return s;
}

Status of_sidecar() {
  Status s;
  s.role = "sidecar";
  SidecarStatus& sidecar = s.sidecar.emplace();
  sidecar.tasks = 5;
  ProxyRow row;
  row.socket = "/run/a.sock";
  row.connected = true;
  row.commands = 9'000'000'000;
  row.compared_ms = 12;
  sidecar.proxies = {row};
  sidecar.held = {{"shoal-a-1", "web", "a", "/run/a.sock"}};
  return s;
}

}  // namespace

TEST_CASE("a status comes back as it went, for both roles") {
  for (const Status& sent : {of_task(), of_sidecar(), Status{}}) {
    const std::string json = to_json(sent);
    Status back;
    REQUIRE(from_json(json, back));
    CHECK(to_json(back) == json);
    CHECK(back.task.has_value() == sent.task.has_value());
    CHECK(back.sidecar.has_value() == sent.sidecar.has_value());
  }
  Status back;
  REQUIRE(from_json(to_json(of_task()), back));
  CHECK(back.name == "web \"1\"");
  CHECK(back.health.healthy);
  CHECK(back.ready.reason == "not yet");
  REQUIRE(back.task->sidecars.size() == 2);
  CHECK(back.task->sidecars[0].needs_a_fix);
  CHECK_FALSE(back.task->sidecars[0].answered_ms.has_value());
  CHECK(back.task->sidecars[1].answered_ms == 0);
  CHECK(back.task->accept_queue->limit == 128);
  REQUIRE(from_json(to_json(of_sidecar()), back));
  CHECK(back.sidecar->proxies[0].commands == 9'000'000'000);
}

TEST_CASE("the names are those that programs read") {
  CHECK(to_json(of_task()) ==
        R"({"name":"web \"1\"","role":"task","version":"0.1.0","pid":7,"uptime_ms":90061000,)"
        R"("address":"10.0.0.1:7947","members":4,"alive":3,"leaving":0,"left":0,"failed":1,)"
        R"("health":{"healthy":true,"reason":"well"},"ready":{"healthy":false,"reason":"not yet"},)"
        R"("task":{"state":"ready","workers":[{"pid":8,"generation":2,"state":"running","up_ms":1000}],"restarts":1,)"
        R"("listen":"0.0.0.0:8080","port":65535,"pool":"","weight":256,"wish":"",)"
        R"("accept_queue":{"depth":3,"limit":128},"drain":"","proxies_in_rotation":0,"sidecars":[)"
        R"({"name":"proxy","address":"","member":"","state":"refused","reason":"HAProxy has no backend `web`",)"
        R"("needs_a_fix":true,"server":"","proxies_up":0,"proxies_total":2,"proxies_in_rotation":0,"in_flight":0,)"
        R"("unanswered":0},{"name":"proxy","address":"","member":"","state":"refused",)"
        R"("reason":"HAProxy has no backend `web`","needs_a_fix":true,"server":"","proxies_up":0,"proxies_total":2,)"
        R"("proxies_in_rotation":0,"in_flight":0,"answered_ms":0,"unanswered":0}],"sidecars_left_out":3}})");
}

TEST_CASE("a value of another type is refused, a name that is not known is not") {
  Status status;
  CHECK(from_json(R"({"name":"x","later":{"a":[1]},"task":{"later":1,"port":1}})", status));
  CHECK(status.name == "x");
  CHECK(status.task->port == 1);
  for (const char* bad :
       {R"({"name":1})", R"({"task":[]})", R"({"task":{"port":65536}})", R"({"task":{"port":-1}})",
        R"({"task":{"sidecars":{}}})", R"({"health":true})", R"({"members":"3"})", "", "[]", R"({"name":"x")"}) {
    CAPTURE(bad);
    Status other;
    CHECK_FALSE(from_json(bad, other));
  }
}
