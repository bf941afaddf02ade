#include "app/status_desk.h"

#include <utility>

#include "base/check.h"

namespace shoal::app {

StatusDesk::StatusDesk(reactor::Loop& loop, RoleView& view,
                       std::function<void(std::uint64_t, const admin::Health&)> give_health,
                       std::function<void(std::uint64_t, const admin::Status&)> give_status)
    : loop_(loop),
      view_(view),
      give_health_(std::move(give_health)),
      give_status_(std::move(give_status)),
      timer_(loop, [this] { settle(); }) {
  loop_.at_end_of_turn([this] { settle(); });
}

void StatusDesk::ask(std::uint64_t ref, admin::Operation operation) {
  const Instant now = loop_.now();
  const Waiting asked{ref, operation, now - kFreshFor, now + kConfirmMost};
  const bool is_known = operation == admin::Operation::kHealth && !view_.health_is_open();
  if (!is_known) view_.refresh(now, asked.since);
  // Full: as many as there are connections are waiting already, some of clients that have gone.
  if (is_known || waiting_.full() || is_over(asked)) return answer(asked);
  waiting_.push_back(asked);
}

void StatusDesk::settle() {
  view_.observe(loop_.now());
  Instant next = kNever;
  for (std::size_t i = 0; i < waiting_.size();) {
    if (is_over(waiting_[i])) {
      answer(waiting_[i]);
      waiting_.erase(i);
    } else {
      next = earlier(next, waiting_[i++].until);
    }
  }
  timer_.at(next);
}

/// For health and ready one good answer is enough; a status wants everybody's.
bool StatusDesk::is_over(const Waiting& waiting) const {
  const Instant now = loop_.now();
  if (now >= waiting.until || view_.is_fresh(waiting.since)) return true;
  switch (waiting.operation) {
    case admin::Operation::kHealth: return !view_.health_is_open();
    case admin::Operation::kReady: return view_.ready(now, waiting.since).healthy;
    case admin::Operation::kStatus:
    case admin::Operation::kMembers:
    case admin::Operation::kKeysList:
    case admin::Operation::kKeysInstall:
    case admin::Operation::kKeysUse:
    case admin::Operation::kKeysRemove:
    case admin::Operation::kForceLeave:
    case admin::Operation::kEvent:
    case admin::Operation::kSteer: return false;
  }
  SHOAL_UNREACHABLE();
}

void StatusDesk::answer(const Waiting& waiting) {
  const Instant now = loop_.now();
  if (waiting.operation == admin::Operation::kHealth) return give_health_(waiting.ref, view_.health(now));
  if (waiting.operation == admin::Operation::kReady) return give_health_(waiting.ref, view_.ready(now, waiting.since));
  admin::Status status;
  view_.fill(now, waiting.since, status);
  give_status_(waiting.ref, status);
}

}  // namespace shoal::app
