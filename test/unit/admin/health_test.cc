#include "admin/health.h"

#include <doctest/doctest.h>

#include <array>

using namespace shoal;
using namespace shoal::admin;

namespace {

constexpr WorkerPhase kPhases[] = {WorkerPhase::kNone, WorkerPhase::kStarting, WorkerPhase::kReady,
                                   WorkerPhase::kUnhealthy, WorkerPhase::kGone};

TaskHealth latched(std::uint32_t min_proxies = 1) {
  TaskHealth health(min_proxies);
  health.observe(WorkerPhase::kReady, min_proxies);
  REQUIRE(health.is_latched());
  return health;
}

bool says(const Health& health, bool healthy, std::string_view part) {
  CAPTURE(health.reason);
  CHECK(health.healthy == healthy);
  const bool found = health.reason.find(part) != std::string::npos;
  CHECK(found);
  return found && health.healthy == healthy;
}

}  // namespace

TEST_CASE("a task is red until it has been in rotation in enough HAProxies at the same time, once") {
  TaskHealth health(2);
  CHECK(says(health.health({WorkerPhase::kStarting, false, 0, ""}), false, "the worker is not ready yet"));
  health.observe(WorkerPhase::kReady, 1);
  CHECK(says(health.health({WorkerPhase::kReady, false, 1, "sidecar b: no backend"}), false,
             "in rotation in 1 HAProxy, wanted are 2; sidecar b: no backend"));
  health.observe(WorkerPhase::kStarting, 2);  // Left over from an earlier worker.
  CHECK_FALSE(health.is_latched());
  health.observe(WorkerPhase::kReady, 2);
  CHECK(health.health({WorkerPhase::kReady, false, 2, ""}).healthy);
  health.observe(WorkerPhase::kReady, 0);
  CHECK(health.health({WorkerPhase::kReady, false, 0, "no sidecar is known"}).healthy);
}

TEST_CASE("once it was in rotation only its worker makes a task red") {
  for (const WorkerPhase phase : kPhases) {
    const bool is_bad = phase == WorkerPhase::kUnhealthy || phase == WorkerPhase::kGone;
    CHECK(latched().health({phase, false, 0, ""}).healthy == !is_bad);
  }
  CHECK(says(latched().health({WorkerPhase::kUnhealthy, false, 1, ""}), false, "the worker is unhealthy"));
  CHECK(says(latched().health({WorkerPhase::kGone, false, 1, ""}), false, "the worker has ended"));
}

TEST_CASE("a stop that was asked for is no reason to kill the task, and it is not ready any more") {
  CHECK(says(latched().health({WorkerPhase::kReady, true, 0, ""}), true, "stopping"));
  CHECK(says(latched().health({WorkerPhase::kGone, true, 0, ""}), true, "stopping"));
  CHECK_FALSE(TaskHealth(1).health({WorkerPhase::kReady, true, 0, ""}).healthy);
  CHECK(says(latched().ready({WorkerPhase::kReady, true, 1, ""}), false, "the task is stopping"));
}

TEST_CASE("without min_proxies a task is green as soon as its worker is ready, and ready with the first HAProxy") {
  TaskHealth health(0);
  health.observe(WorkerPhase::kStarting, 0);
  CHECK_FALSE(health.health({WorkerPhase::kStarting, false, 0, ""}).healthy);
  health.observe(WorkerPhase::kReady, 0);
  CHECK(health.health({WorkerPhase::kReady, false, 0, ""}).healthy);
  CHECK(says(health.ready({WorkerPhase::kReady, false, 0, ""}), false, "in rotation in 0 HAProxies, wanted are 1"));
  CHECK(says(health.ready({WorkerPhase::kReady, false, 1, ""}), true, "in rotation in 1 HAProxy"));
}

TEST_CASE("a task is ready while enough HAProxies have it and its worker is well") {
  const TaskHealth health = latched(2);
  CHECK(health.ready({WorkerPhase::kReady, false, 2, ""}).healthy);
  CHECK(health.ready({WorkerPhase::kReady, false, 3, ""}).healthy);
  CHECK_FALSE(health.ready({WorkerPhase::kReady, false, 1, ""}).healthy);
  for (const WorkerPhase phase : kPhases) {
    if (phase != WorkerPhase::kReady) CHECK_FALSE(health.ready({phase, false, 2, ""}).healthy);
  }
}

TEST_CASE("a sidecar is well whatever HAProxy does, and ready while each HAProxy was compared lately") {
  std::array<ProxyFacts, 2> proxies;
  SidecarFacts facts{false, false, false, 5s, proxies};
  CHECK(says(sidecar_health(facts), false, "not begun to gossip"));
  CHECK(says(sidecar_ready(facts), false, "not begun to gossip"));
  facts.gossips = true;
  proxies[0] = {"/run/a", true, true, "", 1s, {}};
  proxies[1] = {"/run/b", false, false, "no such socket", {}, {}};
  CHECK(sidecar_health(facts).healthy);
  CHECK(says(sidecar_ready(facts), false, "HAProxy is away: /run/b: no such socket"));
  proxies[1].up = true;
  CHECK(says(sidecar_ready(facts), false, "/run/b has not been compared yet"));
  proxies[1].compared = 17s;
  CHECK(says(sidecar_ready(facts), true, "connected to 2 HAProxies"));
  proxies[1].compared = 17001ms;
  CHECK(says(sidecar_ready(facts), false, "/run/b was compared 17 s ago"));
  facts.stopping = true;
  CHECK(says(sidecar_health(facts), true, "stopping"));
  CHECK(says(sidecar_ready(facts), false, "stopping"));
}

TEST_CASE("a sidecar whose HAProxy is shoal's own is red until that has answered, and when none has run for a minute") {
  std::array<ProxyFacts, 2> proxies;
  proxies[0] = {"/run/a", false, false, "silent", {}, {}};
  proxies[1] = {"/run/b", true, true, "", 1s, {}};  // Somebody else's counts for nothing here.
  const SidecarFacts facts{true, false, true, 5s, proxies};
  CHECK(says(sidecar_health(facts), false, "HAProxy has not answered on /run/a since the sidecar's start: silent"));
  proxies[0].was_up = true;
  CHECK(sidecar_health(facts).healthy);
  proxies[0].nobody_for = kNoProxyMost - 1ms;
  CHECK(sidecar_health(facts).healthy);
  proxies[0].nobody_for = kNoProxyMost;
  CHECK(says(sidecar_health(facts), false, "no HAProxy has run for 60 s: silent"));
  proxies[0].up = true;
  CHECK(sidecar_health(facts).healthy);
}

TEST_CASE("an answer comes back as it went, and one without a verdict is none") {
  for (const Health& sent : {Health{true, "a \"b\""}, Health{false, ""}}) {
    Health back;
    REQUIRE(from_json(to_json(sent), back));
    CHECK(back.healthy == sent.healthy);
    CHECK(back.reason == sent.reason);
  }
  CHECK(to_json(Health{false, "why"}) == R"({"healthy":false,"reason":"why"})");
  Health back;
  for (const char* bad : {"{}", R"({"reason":"x"})", R"({"healthy":1})", R"({"error":"x"})", ""})
    CHECK_FALSE(from_json(bad, back));
}
