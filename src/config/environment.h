// Settings from environment variables.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/settings.h"

namespace shoal::config {

/// Appends what `variables` ("NAME=value", as in environ) sets. A variable with an empty value counts as not set. A
/// variable that begins with SHOAL_ and is no setting is a warning only: container links inject SHOAL_PORT=tcp://...
void load_environment(std::span<const std::string> variables, std::vector<Given>& given, std::vector<Problem>& problems,
                      std::vector<Problem>& warnings);

}  // namespace shoal::config
