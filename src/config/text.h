// Small things about text that the settings need: quoting, distance between words, JSON arrays of strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::config {

/// A JSON string, quotes included; also a valid TOML basic string. Control bytes and bytes that are not UTF-8 are
/// escaped.
[[nodiscard]] std::string quoted(std::string_view text);

/// Single edits (a wrong, missing, extra or swapped neighbour letter) from one word to the other; case is ignored.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`; empty when none is near enough to be meant (about a third of its letters).
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

/// `; did you mean X?` or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view candidate);

/// Reads ["a", "b"]. False when it is not a JSON array of strings; then `out` may hold anything.
[[nodiscard]] bool parse_json_strings(std::string_view text, std::vector<std::string>& out);

[[nodiscard]] std::string_view trimmed(std::string_view text);
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] bool has_control_bytes(std::string_view text);

}  // namespace shoal::config
