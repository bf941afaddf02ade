// `shoal status` as people read it: what matters first, on one screen.
#pragma once

#include <string>

#include "admin/status.h"

namespace shoal::app {

/// "3s", "2m5s", "4h12m", "3d2h".
[[nodiscard]] std::string age_text(std::int64_t ms);
[[nodiscard]] std::string status_text(const admin::Status& status);

}  // namespace shoal::app
