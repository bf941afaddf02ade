// Answers of the control socket as people read them: aligned columns. Names and tags come from the network, so nothing
// in them may reach a terminal as anything but a letter.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "admin/api.h"

namespace shoal::app {

/// Control characters and bytes that are no UTF-8 become "?".
[[nodiscard]] std::string plain_text(std::string_view text);
/// The first row is the head. Two blanks between columns, none at the end of a line.
[[nodiscard]] std::string columns(const std::vector<std::vector<std::string>>& rows);

[[nodiscard]] std::string members_text(const std::vector<admin::Member>& members);
/// `list`: the keys; else how many have done what was asked.
[[nodiscard]] std::string keys_text(const admin::KeysAnswer& answer, bool list);

}  // namespace shoal::app
