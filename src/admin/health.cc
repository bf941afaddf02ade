#include "admin/health.h"

#include "base/check.h"
#include "base/json.h"

namespace shoal::admin {
namespace {

Health red(std::string reason) { return {false, std::move(reason)}; }
Health green(std::string reason) { return {true, std::move(reason)}; }

std::string proxies_text(std::uint32_t count) {
  return std::to_string(count) + (count == 1 ? " HAProxy" : " HAProxies");
}

std::string seconds_text(Duration d) { return std::to_string(to_ms(d) / 1000) + " s"; }

}  // namespace

std::string to_json(const Health& health) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.boolean("healthy", health.healthy);
  w.text("reason", health.reason);
  w.end_object();
  return out;
}

bool from_json(std::string_view text, Health& out) {
  JsonReader r(text);
  bool told = false;
  r.object([&](std::string_view key) {
    if (key == "healthy") {
      told = r.boolean(out.healthy);
    } else if (key == "reason") {
      r.text(out.reason);
    } else {
      r.skip();
    }
  });
  return r.at_end() && told;
}

Health TaskHealth::missing(const TaskFacts& facts, std::uint32_t wanted) const {
  std::string reason = "in rotation in " + proxies_text(facts.proxies) + ", wanted are " + std::to_string(wanted);
  if (!facts.why_not.empty()) reason += "; " + std::string(facts.why_not);
  return red(std::move(reason));
}

Health TaskHealth::health(const TaskFacts& facts) const {
  switch (facts.worker) {
    case WorkerPhase::kUnhealthy: return red("the worker is unhealthy");
    case WorkerPhase::kGone: return facts.stopping ? green("stopping") : red("the worker has ended");
    case WorkerPhase::kNone:
    case WorkerPhase::kStarting:
      if (!latched_) return red("the worker is not ready yet");
      return green(facts.stopping ? "stopping" : "the worker is being started again");
    case WorkerPhase::kReady: break;
  }
  if (facts.stopping && latched_) return green("stopping");
  if (!latched_) return missing(facts, min_proxies_);
  return green("the worker is ready, and has been in rotation");
}

Health TaskHealth::ready(const TaskFacts& facts) const {
  if (facts.stopping) return red("the task is stopping");
  switch (facts.worker) {
    case WorkerPhase::kUnhealthy: return red("the worker is unhealthy");
    case WorkerPhase::kGone: return red("the worker has ended");
    case WorkerPhase::kNone:
    case WorkerPhase::kStarting: return red("the worker is not ready yet");
    case WorkerPhase::kReady: break;
  }
  // Without a single one no request can arrive, whatever min_proxies says.
  const std::uint32_t wanted = min_proxies_ == 0 ? 1 : min_proxies_;
  if (facts.proxies < wanted) return missing(facts, wanted);
  return green("in rotation in " + proxies_text(facts.proxies));
}

Health sidecar_health(const SidecarFacts& facts) {
  if (!facts.gossips) return red("this node has not begun to gossip");
  if (facts.stopping) return green("stopping");
  if (!facts.supervises || facts.proxies.empty()) return green("the sidecar answers");
  const ProxyFacts& own = facts.proxies.front();
  const std::string socket(own.socket);
  if (!own.was_up) {
    return red("HAProxy has not answered on " + socket + " since the sidecar's start: " + std::string(own.down_text));
  }
  if (!own.up && own.nobody_for && *own.nobody_for >= kNoProxyMost) {
    return red("no HAProxy has run for " + seconds_text(*own.nobody_for) + ": " + std::string(own.down_text));
  }
  return green("the sidecar answers, and HAProxy has");
}

Health sidecar_ready(const SidecarFacts& facts) {
  if (!facts.gossips) return red("this node has not begun to gossip");
  if (facts.stopping) return red("the sidecar is stopping");
  const Duration most = 3 * facts.reconcile_interval + kComparisonSlack;
  for (const ProxyFacts& proxy : facts.proxies) {
    const std::string socket(proxy.socket);
    if (!proxy.up) return red("HAProxy is away: " + socket + ": " + std::string(proxy.down_text));
    if (!proxy.compared) return red("HAProxy's table at " + socket + " has not been compared yet");
    if (*proxy.compared > most) {
      return red("HAProxy's table at " + socket + " was compared " + seconds_text(*proxy.compared) + " ago");
    }
  }
  return green("connected to " + proxies_text(static_cast<std::uint32_t>(facts.proxies.size())));
}

}  // namespace shoal::admin
