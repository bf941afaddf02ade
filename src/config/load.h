// All sources together: default < file < environment < flag, then checks that look at several settings at once.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/settings.h"

namespace shoal::config {

struct Sources {
  std::string file_name;                 // Empty: no file.
  std::optional<std::string> file_text;  // Its bytes. Not set while file_name is: it could not be read.
  std::string file_error;                // Why it could not be read.
  std::span<const std::string> environment;
  std::span<const Given> flags;
  std::optional<Role> role;  // The subcommand; not set: the file's or the environment's.
  bool role_needed = true;   // False for `config check` and `config print`.
  std::string hostname;      // For the default node name.
  std::string random_hex;    // Likewise: 5 hex digits, other ones at each start.
};

struct Loaded {
  /// Only to be used when `errors` is empty.
  Config config;
  /// One for each setting of the table that has a value, in the table's order, and one for each pool with options.
  std::vector<Given> values;
  /// All that is wrong, not just the first. Any error: exit code 78 before anything starts.
  std::vector<Problem> errors;
  std::vector<Problem> warnings;  // The same texts as config.warnings.
};

[[nodiscard]] Loaded load(const Sources& sources);

}  // namespace shoal::config
