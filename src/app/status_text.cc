#include "app/status_text.h"

#include <algorithm>
#include <vector>

#include "app/control_text.h"

namespace shoal::app {
namespace {

constexpr std::size_t kRowsShown = 12;  // Of each list; the JSON has more.

using Rows = std::vector<std::vector<std::string>>;

std::string number(std::uint64_t n) { return std::to_string(n); }
std::string or_dash(std::string text) { return text.empty() ? "-" : text; }
std::string age_or_dash(const std::optional<std::int64_t>& ms) { return ms ? age_text(*ms) : "-"; }

std::string more(std::size_t shown, std::size_t rows, std::uint64_t left_out) {
  const std::uint64_t rest = rows - shown + left_out;
  return rest == 0 ? "" : "and " + number(rest) + " more\n";
}

std::string verdict(const admin::Health& health) {
  return std::string(health.healthy ? "yes" : "NO") + (health.reason.empty() ? "" : ", " + plain_text(health.reason));
}

void add_common(const admin::Status& s, Rows& rows) {
  rows.push_back({"node", plain_text(s.name) + ", " + plain_text(s.role) + ", shoal " + plain_text(s.version)});
  rows.push_back({"process", std::to_string(s.pid) + ", up " + age_text(s.uptime_ms)});
  rows.push_back({"healthy", verdict(s.health)});
  rows.push_back({"ready", verdict(s.ready)});
  std::string cluster = number(s.alive) + " alive";
  if (s.failed > 0) cluster += ", " + number(s.failed) + " failed";
  if (s.leaving > 0) cluster += ", " + number(s.leaving) + " leaving";
  if (s.left > 0) cluster += ", " + number(s.left) + " left";
  if (!s.address.empty()) cluster += "; this node at " + plain_text(s.address);
  rows.push_back({"cluster", cluster});
}

void add_task(const admin::TaskStatus& t, Rows& rows) {
  std::string state = plain_text(t.state);
  if (!t.drain.empty()) state += ", drain " + plain_text(t.drain);
  if (!t.wish.empty()) state += ", out of rotation by an operator's wish: " + plain_text(t.wish);
  rows.push_back({"task", state});
  for (const admin::WorkerRow& worker : t.workers)
    rows.push_back({"worker", "process " + std::to_string(worker.pid) + ", " + plain_text(worker.state) + ", up " +
                                  age_text(worker.up_ms) + ", generation " + number(worker.generation)});
  if (t.workers.empty()) rows.push_back({"worker", "none"});
  if (t.restarts > 0) rows.push_back({"restarts", number(t.restarts)});
  rows.push_back({"service", plain_text(t.listen) + ", port " + number(t.port) + " for HAProxy, pool " +
                                 (t.pool.empty() ? "of the sidecar's choice" : plain_text(t.pool)) + ", weight " +
                                 number(t.weight)});
  if (t.accept_queue)
    rows.push_back({"accept queue", number(t.accept_queue->depth) + " waiting, room for " +
                                        number(t.accept_queue->limit) + ", at most " + number(t.accept_queue->highest) +
                                        " so far"});
  rows.push_back({"in rotation", "in " + number(t.proxies_in_rotation) + " HAProxies"});
}

std::string sidecars_text(const admin::TaskStatus& t) {
  if (t.sidecars.empty()) return "\nno sidecar is known\n";
  Rows rows = {{"SIDECAR", "MEMBER", "ANSWER", "HAPROXIES", "ANSWERED", "SERVER, OR WHY NOT"}};
  const std::size_t shown = std::min(t.sidecars.size(), kRowsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const admin::SidecarRow& s = t.sidecars[i];
    std::string last = plain_text(s.reason.empty() ? s.server : s.reason);
    if (s.needs_a_fix) last = "to be mended: " + last;
    if (s.in_flight > 0) last = number(s.in_flight) + " requests in flight; " + last;
    rows.push_back({plain_text(s.name), plain_text(s.member), plain_text(s.state),
                    number(s.proxies_in_rotation) + "/" + number(std::max(s.proxies_total, s.proxies_in_rotation)),
                    s.answered_ms ? age_text(*s.answered_ms) + " ago" : "never", or_dash(last)});
  }
  return "\n" + columns(rows) + more(shown, t.sidecars.size(), t.sidecars_left_out);
}

std::string proxies_text(const admin::SidecarStatus& s) {
  Rows rows = {{"SOCKET", "HAPROXY", "PID", "SERVING", "OUT", "CLAIMED", "MISSING", "COMPARED", "SENT", "REFUSED"}};
  std::string words;
  for (const admin::ProxyRow& p : s.proxies) {
    rows.push_back({plain_text(p.socket), p.connected ? or_dash(plain_text(p.version)) : "away",
                    p.connected ? std::to_string(p.pid) : "-", p.connected ? number(p.in_rotation) : "?",
                    p.connected ? number(p.out) : "?", p.connected ? number(p.claimed) : "?",
                    p.connected ? number(p.missing) : "?", age_or_dash(p.compared_ms), number(p.commands),
                    number(p.refused)});
    if (!p.connected) words += plain_text(p.socket) + " is away: " + plain_text(p.reason) + "\n";
    if (p.old_processes > 0)
      words += plain_text(p.socket) + ": " + number(p.old_processes) + " old processes end their last requests\n";
    if (p.by_hand > 0)
      words +=
          plain_text(p.socket) + ": " + number(p.by_hand) + " taken out by hand on this socket, and left as they are\n";
    if (!p.method.empty()) words += plain_text(p.socket) + ": servers are set by " + plain_text(p.method) + "\n";
  }
  return "\n" + columns(rows) + words;
}

std::string held_text(const admin::SidecarStatus& s) {
  if (s.held.empty()) return {};
  Rows rows = {{"HELD IN ROTATION", "POOL", "NODE", "SOCKET"}};
  const std::size_t shown = std::min(s.held.size(), kRowsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const admin::HeldRow& held = s.held[i];
    rows.push_back(
        {plain_text(held.server), plain_text(held.pool), or_dash(plain_text(held.node)), plain_text(held.socket)});
  }
  return "\n" + columns(rows) + more(shown, s.held.size(), s.held_left_out);
}

}  // namespace

std::string age_text(std::int64_t ms) {
  if (ms < 1000) return std::to_string(std::max<std::int64_t>(ms, 0)) + "ms";
  const std::int64_t s = ms / 1000;
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
  if (s < 86400) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
  return std::to_string(s / 86400) + "d" + std::to_string(s / 3600 % 24) + "h";
}

std::string status_text(const admin::Status& status) {
  Rows rows;
  add_common(status, rows);
  if (status.task) add_task(*status.task, rows);
  if (status.sidecar) {
    std::string tasks = number(status.sidecar->tasks) + " known";
    if (status.sidecar->dry_run) tasks += "; a dry run: HAProxy is told nothing";
    if (status.sidecar->supervises) tasks += "; HAProxy is started and ended by shoal";
    rows.push_back({"tasks", tasks});
  }
  std::string out = columns(rows);
  if (status.task) out += sidecars_text(*status.task);
  if (status.sidecar) out += proxies_text(*status.sidecar) + held_text(*status.sidecar);
  return out;
}

}  // namespace shoal::app
