// What a role's app shows of itself to those who ask over the control socket.
#pragma once

#include "admin/health.h"
#include "admin/status.h"
#include "base/time.h"

namespace shoal::app {

class RoleView {
 public:
  /// At the end of each turn of the loop. Cheap.
  virtual void observe(Instant now) = 0;
  /// What only others know (whether HAProxy has us in rotation) is asked of them, unless they have said it since.
  virtual void refresh(Instant now, Instant since) = 0;
  /// Nothing is left to wait for.
  [[nodiscard]] virtual bool is_fresh(Instant since) const = 0;
  /// The answer would change with a refresh.
  [[nodiscard]] virtual bool health_is_open() const = 0;

  [[nodiscard]] virtual admin::Health health(Instant now) const = 0;
  /// Counts what was said since `since` alone.
  [[nodiscard]] virtual admin::Health ready(Instant now, Instant since) const = 0;
  /// The role's part, and both answers.
  virtual void fill(Instant now, Instant since, admin::Status& out) const = 0;

 protected:
  ~RoleView() = default;
};

}  // namespace shoal::app
