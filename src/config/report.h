// What is printed from the table of settings: help, the reference, and the values in force.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/load.h"

namespace shoal::config {

/// --help for a topic of Command::help_topic.
[[nodiscard]] std::string help_text(std::string_view topic);

/// Every setting with key, flag, variable, unit, default and meaning: Markdown, or a JSON array.
[[nodiscard]] std::string reference_markdown();
[[nodiscard]] std::string reference_json();

/// Each value and where it came from. The text is itself a settings file with the same meaning: what is not set stands
/// there as a comment. Secrets are shown as "(secret)", and as a comment.
[[nodiscard]] std::string values_text(const Loaded& loaded);
[[nodiscard]] std::string values_json(const Loaded& loaded);

/// {"ok": ..., "errors": [...], "warnings": [...]}
[[nodiscard]] std::string check_json(const Loaded& loaded);

}  // namespace shoal::config
