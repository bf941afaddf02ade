// Answers `health`, `ready` and `status`. What is known is answered at once; what others have to confirm waits for
// them, kConfirmMost at the longest, and is then answered with what is known.
#pragma once

#include <cstdint>
#include <functional>

#include "admin/routes.h"
#include "app/role_view.h"
#include "base/containers.h"
#include "reactor/loop.h"
#include "reactor/unix_listener.h"

namespace shoal::app {

class StatusDesk {
 public:
  /// Well below what a health check waits for its answer.
  static constexpr Duration kConfirmMost = 500ms;
  /// What was confirmed so lately is not asked again: several may ask at once.
  static constexpr Duration kFreshFor = 200ms;

  /// `give_health` and `give_status` answer a request by its ref. All must outlive the desk.
  StatusDesk(reactor::Loop& loop, RoleView& view, std::function<void(std::uint64_t, const admin::Health&)> give_health,
             std::function<void(std::uint64_t, const admin::Status&)> give_status);

  /// `operation` is kHealth, kReady or kStatus.
  void ask(std::uint64_t ref, admin::Operation operation);

 private:
  struct Waiting {
    std::uint64_t ref = 0;
    admin::Operation operation = admin::Operation::kHealth;
    Instant since{};
    Instant until{};
  };

  void settle();
  [[nodiscard]] bool is_over(const Waiting& waiting) const;
  void answer(const Waiting& waiting);

  reactor::Loop& loop_;
  RoleView& view_;
  std::function<void(std::uint64_t, const admin::Health&)> give_health_;
  std::function<void(std::uint64_t, const admin::Status&)> give_status_;
  InlineVector<Waiting, reactor::UnixListener::kConnectionsMax> waiting_;
  reactor::Timer timer_;
};

}  // namespace shoal::app
