// The one table of settings. The file loader, the environment, the flags, --help, `config reference`, `config print`
// and the check of shoal.toml.example are all made from it; a setting that is not in it does not exist, and every one
// in it has an effect in this program. To add one: a row in settings.cc, a field in config.h, a paragraph in
// shoal.toml.example.
//
// Whatever the source, a value is first a list of words (a single value is one word). From the file an array gives its
// elements, from the environment a comma-separated list does, and a flag may be repeated. `apply` turns the words into
// the typed field, so a value is judged by the same code wherever it came from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace shoal::config {

using Words = std::vector<std::string>;

enum class Type : std::uint8_t {
  kText,      // One word.
  kChoice,    // One word out of `unit`, which lists them: "lan|wan|local".
  kDuration,  // "500ms", "30s", "1m30s"; limits in nanoseconds.
  kInteger,   // A whole number within the limits.
  kList,      // Any number of words.
  kTags,      // Words "name=value"; in the file a table.
  kCommand,   // An argv; in the environment a JSON array.
};

/// The choices of a setting that is true or false; in the file without quotation marks, or with them.
inline constexpr std::string_view kFalseOrTrue = "false|true";

enum class Concerns : std::uint8_t { kBoth, kSidecar, kTask };

struct Setting {
  std::string_view key;   // "gossip.join". A part written NAME stands for any pool name.
  std::string_view flag;  // "--join"; empty: made from the key; "-": none.
  Type type;
  Concerns concerns;
  bool secret;                 // Never a flag, never printed.
  std::string_view unit;       // What to write, for people: "HOST[:PORT]".
  std::string_view fallback;   // The default, written as in the environment; empty: none.
  std::string_view otherwise;  // What holds while it is not set and there is no fallback.
  std::string_view example;    // A valid value in TOML, for messages and the example file.
  std::string_view help;       // One line.
  std::int64_t least = 0;      // For kDuration and kInteger, both ends included.
  std::int64_t most = 0;       // For kList: how many at the most, 0 = any number.
  /// Puts the words into the Config. Gives what is wrong, in words for the operator; empty when all is well. After a
  /// failure the field may hold anything.
  std::string (*apply)(const Setting& setting, const Words& words, Config& config) = nullptr;
};

/// In the order of the reference: one section after the other.
[[nodiscard]] std::span<const Setting> settings();
/// By its exact key; null when there is none. The row of a pattern key is found under its pattern.
[[nodiscard]] const Setting* find_setting(std::string_view key);
/// The row for options of one pool, and its key with the pool's name in it.
[[nodiscard]] const Setting& pool_options_setting();
[[nodiscard]] std::string pool_options_key(std::string_view pool);

/// "--join"; empty when the setting has no flag.
[[nodiscard]] std::string flag_of(const Setting& setting);
/// "SHOAL_GOSSIP_JOIN"; empty when the setting can only stand in the file.
[[nodiscard]] std::string variable_of(const Setting& setting);
/// "--gossip-join", also for a setting that has a shorter flag.
[[nodiscard]] std::string long_flag_of(std::string_view key);
[[nodiscard]] std::string variable_of_key(std::string_view key);

[[nodiscard]] bool concerns_role(const Setting& setting, Role role);
[[nodiscard]] std::string_view to_text(Role role);

/// A key that later versions are to have. It is refused, kindly: accepted and ignored it would be a lie.
struct FutureKey {
  std::string_view key;      // A key, or a section "etcd." with all that is in it.
  std::string_view flag;     // The flag it is known by; empty: none.
  std::string_view instead;  // What this version does.
};
[[nodiscard]] std::span<const FutureKey> future_keys();
[[nodiscard]] const FutureKey* find_future_key(std::string_view key);

/// The known key nearest to a mistyped one; empty when none is near.
[[nodiscard]] std::string_view nearest_key(std::string_view key);

/// The origin's name of a command that stands at the end of the command line.
inline constexpr const char* kAfterDashes = "after --";

/// Where a value came from.
struct Origin {
  enum class Kind : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };
  Kind kind = Kind::kDefault;
  std::string name;  // File, variable or flag.
  int line = 0;      // kFile only.
};
/// "default", "shoal.toml:12", "env SHOAL_GOSSIP_JOIN", "--join".
[[nodiscard]] std::string to_text(const Origin& origin);

/// One value from one source, not yet judged.
struct Given {
  const Setting* setting = nullptr;
  std::string pool;  // For options of one pool.
  Words words;
  Origin origin;
};

/// Something wrong with the settings, or only odd. `text` names the place, the setting, the value and the fix.
struct Problem {
  std::string place;  // As to_text(Origin); may be empty.
  std::string key;    // May be empty.
  std::string text;   // The whole message.
};

/// "PLACE: KEY = VALUE: WHAT", the value of a secret left out.
[[nodiscard]] Problem problem_with(const Given& given, std::string_view what);

/// The words as a TOML value: `"lan"`, `100`, `["a", "b"]`, `{ zone = "a" }`; "(secret)" for a secret.
[[nodiscard]] std::string toml_value(const Setting& setting, const Words& words);

/// Splits the text of a variable (or of a default) into words as the setting's type wants it. Gives what is wrong,
/// empty when all is well.
[[nodiscard]] std::string words_from_text(const Setting& setting, std::string_view text, Words& words);

}  // namespace shoal::config
