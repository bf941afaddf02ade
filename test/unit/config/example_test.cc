// shoal.toml.example is checked against the table: every key, its default, and that it parses; then it is bent and
// broken.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "base/rng.h"
#include "config/load.h"
#include "config/report.h"
#include "config/text.h"
#include "config/toml_loader.h"

using namespace shoal;
using namespace shoal::config;

namespace {

std::string example_text() {
  std::ifstream file(SHOAL_EXAMPLE_FILE);
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE(text.str().size() > 1000);
  return text.str();
}

/// The example with its settings in force, but for one of the two that exclude each other. A setting is commented out
/// as `#key = value`, prose as `# prose`.
std::string uncommented(const std::string& text, std::string_view without = "#keyring_file = ") {
  std::string out;
  for (const std::string_view line : split(text, '\n')) {
    const bool setting =
        line.size() > 1 && line[0] == '#' && line[1] != ' ' && line.substr(0, without.size()) != without;
    out += std::string(setting ? line.substr(1) : line) + "\n";
  }
  return out;
}

Loaded loaded_from(const std::string& text) {
  Sources sources;
  sources.file_name = "shoal.toml.example";
  sources.file_text = text;
  sources.role_needed = false;
  sources.random_hex = "00000";
  return load(sources);
}

/// The prose above the line that sets a key.
std::string prose_above(const std::string& text, int line_number) {
  const auto lines = split(text, '\n');
  std::string out;
  for (auto i = static_cast<std::size_t>(line_number - 1); i > 0 && !lines[i - 1].empty(); --i) {
    std::string_view line = lines[i - 1];
    if (line.substr(0, 2) == "# ") line.remove_prefix(2);
    out = std::string(line) + " " + out;
  }
  return out;
}

}  // namespace

TEST_CASE("the example as it stands sets nothing and is good") {
  const Loaded loaded = loaded_from(example_text());
  for (const Problem& error : loaded.errors) FAIL_CHECK(error.text);
  for (const Given& value : loaded.values) {
    CAPTURE(value.setting->key);
    CHECK(value.origin.kind == Origin::Kind::kDefault);
  }
}

TEST_CASE("the example mentions every setting with its default or what holds without one, and all of it is good") {
  const std::string text = example_text();
  const Loaded with_key = loaded_from(uncommented(text));
  const Loaded with_keyring = loaded_from(uncommented(text, "#key = "));
  for (const Problem& error : with_key.errors) FAIL_CHECK(error.text);
  for (const Problem& error : with_keyring.errors) FAIL_CHECK(error.text);
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    const Given* value = nullptr;
    for (const Given& one : setting.key == "gossip.keyring_file" ? with_keyring.values : with_key.values) {
      if (one.setting == &setting) value = &one;
    }
    REQUIRE(value != nullptr);
    REQUIRE(value->origin.kind == Origin::Kind::kFile);
    const std::string prose = prose_above(text, value->origin.line);
    CHECK_FALSE(prose.empty());
    if (setting.fallback.empty()) {
      if (setting.key.find("NAME") == std::string_view::npos)
        CHECK(prose.find("Default: " + std::string(setting.otherwise)) != std::string::npos);
      CHECK(toml_value(setting, value->words).find_first_not_of(" ") == 0);
    } else {
      Words fallback;
      CHECK(words_from_text(setting, setting.fallback, fallback).empty());
      CHECK(value->words == fallback);
    }
  }
}

TEST_CASE("the example in a row of the table is a good value") {
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    std::string key(setting.key);
    if (&setting == &pool_options_setting()) key = pool_options_key("web");
    std::vector<Given> given;
    std::vector<Problem> problems;
    load_toml("row", key + " = " + std::string(setting.example) + "\n", given, problems);
    for (const Problem& problem : problems) FAIL_CHECK(problem.text);
    REQUIRE(given.size() == 1);
    Config config;
    CHECK(setting.apply(setting, given[0].words, config) == "");
  }
}

TEST_CASE("a broken example is refused or read, and never brings the program down") {
  const std::string good = uncommented(example_text());
  Rng rng(0x5403);
  constexpr std::string_view kPieces[] = {"[",  "]",   "{",   "}",    "\"",  "'",          "\"\"\"", "=",
                                          ".",  ",",   "\n",  "\\",   "\\u", "#",          "\xff",   "\xef\xbb\xbf",
                                          "0x", "1e9", "inf", "true", "[[",  "1979-05-27", "gossip", "\r"};
  int refused = 0;
  constexpr int kRounds = 1500;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + rng.below(std::uint64_t{6}); edits > 0; --edits) {
      const std::size_t at = rng.below(std::uint64_t{text.size()});
      switch (rng.below(std::uint64_t{4})) {
        case 0: text[at] = static_cast<char>(rng.below(std::uint64_t{256})); break;
        case 1: text.erase(at, 1 + rng.below(std::uint64_t{30})); break;
        case 2: text.insert(at, kPieces[rng.below(std::uint64_t{std::size(kPieces)})]); break;
        default: {
          // Named, for the order in which arguments are computed differs between compilers.
          const std::size_t from = rng.below(std::uint64_t{text.size()});
          const std::string piece = text.substr(from, rng.below(std::uint64_t{60}));
          text.insert(at, piece);
          break;
        }
      }
    }
    const Loaded loaded = loaded_from(text);
    if (!loaded.errors.empty()) ++refused;
    for (const Problem& error : loaded.errors) CHECK_FALSE(error.text.empty());
    CHECK_FALSE(check_json(loaded).empty());
    CHECK_FALSE(values_text(loaded).empty());
  }
  // Most edits fall into prose, but a loader that accepted everything would be caught here.
  CHECK(refused > kRounds / 10);
  CHECK(refused < kRounds);
}
