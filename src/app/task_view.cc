#include "app/task_view.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace shoal::app {
namespace {

using announce::Announcer;

std::string_view to_text(announce::MemberStatus status) {
  switch (status) {
    case announce::MemberStatus::kAlive: return "alive";
    case announce::MemberStatus::kSuspect: return "suspect";
    case announce::MemberStatus::kFailed: return "failed";
    case announce::MemberStatus::kLeft: return "left";
    case announce::MemberStatus::kReaped: return "forgotten";
  }
  SHOAL_UNREACHABLE();
}

std::string_view to_text(Announcer::Answered answered) {
  switch (answered) {
    case Announcer::Answered::kNothing: return "silent";
    case Announcer::Answered::kPending: return "pending";
    case Announcer::Answered::kRefused: return "refused";
    case Announcer::Answered::kAccepted: return "accepted";
    case Announcer::Answered::kDrained: return "drained";
  }
  SHOAL_UNREACHABLE();
}

std::string_view to_text(Announcer::Drain drain) {
  switch (drain) {
    case Announcer::Drain::kNotAsked: return "";
    case Announcer::Drain::kWaiting: return "waiting";
    case Announcer::Drain::kUnreachable: return "unreachable";
    case Announcer::Drain::kDone: return "done";
  }
  SHOAL_UNREACHABLE();
}

/// Where people have to look first: lower is earlier.
int trouble_of(const Announcer::SidecarView& sidecar) {
  if (!is_here(sidecar.status)) return 4;
  switch (sidecar.answered) {
    case Announcer::Answered::kRefused: return 0;
    case Announcer::Answered::kNothing: return 1;
    case Announcer::Answered::kPending: return 2;
    case Announcer::Answered::kAccepted:
    case Announcer::Answered::kDrained: return 3;
  }
  SHOAL_UNREACHABLE();
}

admin::SidecarRow row_of(Instant now, const Announcer::SidecarView& sidecar) {
  admin::SidecarRow row;
  row.name = sidecar.name;
  row.address = to_text(sidecar.gossip).view();
  row.member = to_text(sidecar.status);
  row.state = to_text(sidecar.answered);
  row.reason = sidecar.reason_text;
  row.needs_a_fix = sidecar.reason == announce::Reason::kFix;
  row.server = sidecar.server;
  row.proxies_up = sidecar.proxies_up;
  row.proxies_total = sidecar.proxies_total;
  row.proxies_in_rotation = sidecar.proxies_in_rotation;
  row.in_flight = sidecar.in_flight;
  if (sidecar.answered_at != kNever) row.answered_ms = to_ms(now - sidecar.answered_at);
  row.unanswered = sidecar.unanswered;
  return row;
}

}  // namespace

std::string_view to_text(task::Supervisor::State state) {
  using State = task::Supervisor::State;
  switch (state) {
    case State::kIdle: return "idle";
    case State::kSpawning: return "spawning";
    case State::kStarting: return "starting";
    case State::kReady: return "ready";
    case State::kUnhealthy: return "unhealthy";
    case State::kEnding: return "ending";
    case State::kBackingOff: return "backing off";
    case State::kDraining: return "draining";
    case State::kLeavingFirst: return "leaving first";
    case State::kStopping: return "stopping";
    case State::kKilling: return "killing";
    case State::kLeaving: return "leaving";
    case State::kDone: return "done";
    case State::kCount: break;
  }
  SHOAL_UNREACHABLE();
}

admin::WorkerPhase worker_phase_of(task::Supervisor::State state, bool runs) {
  using State = task::Supervisor::State;
  using Phase = admin::WorkerPhase;
  switch (state) {
    case State::kIdle: return Phase::kNone;
    case State::kSpawning:
    case State::kStarting: return Phase::kStarting;
    case State::kReady: return Phase::kReady;
    case State::kUnhealthy: return Phase::kUnhealthy;
    // One that crashes again and again is here for nearly all of the time.
    case State::kEnding:
    case State::kBackingOff: return Phase::kGone;
    case State::kDraining:
    case State::kLeavingFirst:
    case State::kStopping:
    case State::kKilling:
    case State::kLeaving:
    case State::kDone:
    case State::kCount: return runs ? Phase::kReady : Phase::kGone;
  }
  SHOAL_UNREACHABLE();
}

TaskView::TaskView(const Announcer& announcer, std::uint32_t min_proxies, Source source)
    : announcer_(announcer), source_(std::move(source)), health_(min_proxies) {}

void TaskView::observe(Instant) { health_.observe(source_.facts().worker, announcer_.proxies_in_rotation()); }

void TaskView::refresh(Instant now, Instant since) {
  source_.confirm(since);
  observe(now);
}

/// A HAProxy that a sidecar has been connected to since it accepted us is told by its next answer alone.
bool TaskView::health_is_open() const {
  return !health_.is_latched() && source_.facts().worker == admin::WorkerPhase::kReady;
}

std::string TaskView::why_not(Instant since) const {
  std::string why;
  int least = 4;
  announcer_.each_sidecar([&](const Announcer::SidecarView& sidecar) {
    const int trouble = trouble_of(sidecar);
    if (trouble >= least) return;
    const bool is_late = sidecar.answered_at == kNever || sidecar.answered_at < since;
    if (trouble == 3 && !is_late) return;
    least = trouble;
    why = "sidecar " + std::string(sidecar.name) + ": ";
    if (trouble == 0 || (trouble == 2 && !sidecar.reason_text.empty())) {
      why += sidecar.reason_text;
    } else if (is_late) {
      why += "it has not answered";
    } else {
      why += "it works on it";
    }
  });
  if (why.empty() && announcer_.sidecars_here() == 0) return "no sidecar is known";
  return why;
}

admin::TaskFacts TaskView::task_facts(Instant since, std::string& why_not) const {
  const Facts facts = source_.facts();
  why_not = this->why_not(since);
  return {facts.worker, facts.stopping, announcer_.proxies_in_rotation(since), why_not};
}

admin::Health TaskView::health(Instant) const {
  std::string why_not;
  return health_.health(task_facts(Instant{}, why_not));
}

admin::Health TaskView::ready(Instant, Instant since) const {
  std::string why_not;
  return health_.ready(task_facts(since, why_not));
}

void TaskView::fill(Instant now, Instant since, admin::Status& out) const {
  out.health = health(now);
  out.ready = ready(now, since);
  admin::TaskStatus& task = out.task.emplace();
  source_.fill(now, task);
  task.drain = to_text(announcer_.drain());
  task.proxies_in_rotation = announcer_.proxies_in_rotation();
  std::vector<std::pair<int, admin::SidecarRow>> rows;
  announcer_.each_sidecar(
      [&](const Announcer::SidecarView& sidecar) { rows.emplace_back(trouble_of(sidecar), row_of(now, sidecar)); });
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [trouble, row] : rows) {
    if (task.sidecars.size() < admin::kRowsMax) {
      task.sidecars.push_back(std::move(row));
    } else {
      ++task.sidecars_left_out;
    }
  }
}

std::string_view TaskView::take_line() {
  const Facts facts = source_.facts();
  const std::uint32_t proxies = announcer_.proxies_in_rotation();
  const bool same = facts.worker == shown_.worker && facts.stopping == shown_.stopping && proxies == shown_proxies_;
  if (std::exchange(is_shown_, true) && same) return {};
  shown_ = facts;
  shown_proxies_ = proxies;
  const char* state = "";
  switch (facts.worker) {
    case admin::WorkerPhase::kNone: state = "begins"; break;
    case admin::WorkerPhase::kStarting: state = "the worker starts"; break;
    case admin::WorkerPhase::kReady: state = "the worker is ready"; break;
    case admin::WorkerPhase::kUnhealthy: state = "the worker is unhealthy"; break;
    case admin::WorkerPhase::kGone: state = "the worker has ended"; break;
  }
  char text[decltype(line_)::capacity()];
  const int size = facts.stopping ? std::snprintf(text, sizeof text, "stopping; %s", state)
                                  : std::snprintf(text, sizeof text, "%s; in rotation in %u HAProxies", state, proxies);
  line_.assign_cut({text, static_cast<std::size_t>(size)});
  return line_;
}

}  // namespace shoal::app
