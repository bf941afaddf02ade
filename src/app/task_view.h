// A task as it shows itself: `shoal health`, `shoal status`, and one line for a service manager.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "announce/announcer.h"
#include "app/role_view.h"
#include "base/containers.h"
#include "task/supervisor.h"

namespace shoal::app {

/// "ready", "draining"...
[[nodiscard]] std::string_view to_text(task::Supervisor::State state);

/// `runs`: some process of the worker does.
[[nodiscard]] admin::WorkerPhase worker_phase_of(task::Supervisor::State state, bool runs);

class TaskView final : public RoleView {
 public:
  struct Facts {
    admin::WorkerPhase worker = admin::WorkerPhase::kNone;
    bool stopping = false;  // A stop was asked for.
  };
  /// What the app knows. `facts` is asked at each turn and allocates nothing; `fill` sets all of TaskStatus but what
  /// the announcer knows; `confirm` drives Announcer::confirm.
  struct Source {
    std::function<Facts()> facts;
    std::function<void(Instant now, admin::TaskStatus& out)> fill;
    std::function<void(Instant since)> confirm;
  };

  TaskView(const announce::Announcer& announcer, std::uint32_t min_proxies, Source source);

  /// For a service manager: what has changed since the last call, as one line; empty when nothing has.
  [[nodiscard]] std::string_view take_line();

  void observe(Instant now) override;
  void refresh(Instant now, Instant since) override;
  [[nodiscard]] bool is_fresh(Instant since) const override { return announcer_.is_confirmed(since); }
  [[nodiscard]] bool health_is_open() const override;
  [[nodiscard]] admin::Health health(Instant now) const override;
  [[nodiscard]] admin::Health ready(Instant now, Instant since) const override;
  void fill(Instant now, Instant since, admin::Status& out) const override;

 private:
  [[nodiscard]] admin::TaskFacts task_facts(Instant since, std::string& why_not) const;
  [[nodiscard]] std::string why_not(Instant since) const;

  const announce::Announcer& announcer_;
  Source source_;
  admin::TaskHealth health_;
  // What the line was made from.
  Facts shown_;
  std::uint32_t shown_proxies_ = 0;
  bool is_shown_ = false;
  FixedString<160> line_;
};

}  // namespace shoal::app
