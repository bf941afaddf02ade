// The settings file and the environment: any bytes give values or errors that say what is wrong; what is printed as the
// values in force is itself a file with the same meaning.
#include <string>

#include "base/check.h"
#include "config/load.h"
#include "config/report.h"
#include "config/text.h"
#include "config/toml_loader.h"
#include "input.h"
#include "target.h"

namespace {

using namespace shoal;
using namespace shoal::config;

/// Lines behind a line of `#environment` are variables.
struct Text {
  std::string file;
  std::vector<std::string> variables;
};

Text taken_apart(std::string_view all) {
  constexpr std::string_view kMark = "\n#environment\n";
  const std::size_t mark = all.find(kMark);
  Text out;
  out.file = all.substr(0, mark);
  if (mark == std::string_view::npos) return out;
  for (const std::string_view line : split(all.substr(mark + kMark.size()), '\n')) out.variables.emplace_back(line);
  return out;
}

Loaded loaded(const Text& text, std::optional<Role> role, bool role_needed) {
  Sources sources;
  sources.file_name = "shoal.toml";
  sources.file_text = text.file;
  sources.environment = text.variables;
  sources.role = role;
  sources.role_needed = role_needed;
  sources.hostname = "host-7";
  sources.random_hex = "0abcd";
  return load(sources);
}

void check(const Loaded& result) {
  for (const Problem& problem : result.errors) SHOAL_ASSERT(!problem.text.empty());
  SHOAL_ASSERT(result.warnings.size() == result.config.warnings.size() || !result.errors.empty());
  (void)check_json(result);
  (void)values_json(result);
  const std::string printed = values_text(result);
  if (!result.errors.empty()) return;
  const Loaded again = loaded({printed, {}}, result.config.role, false);
  SHOAL_ASSERT(again.errors.empty());
  const auto words_of = [](const Loaded& one) {
    std::string text;
    for (const Given& given : one.values) {
      if (given.setting->secret) continue;
      text += std::string(given.setting->key) + " " + given.pool + toml_value(*given.setting, given.words) + "\n";
    }
    return text;
  };
  SHOAL_ASSERT(words_of(again) == words_of(result));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string all = fuzz::copy_of({data, size});
  const Text text = taken_apart(all);
  std::vector<Given> given;
  std::vector<Problem> problems;
  load_toml("shoal.toml", text.file, given, problems);
  for (const Given& one : given) SHOAL_ASSERT(one.setting != nullptr);
  // One of the three: each takes a while, and the fuzzer finds inputs of every size.
  switch (size % 3) {
    case 0: check(loaded(text, Role::kTask, true)); break;
    case 1: check(loaded(text, Role::kSidecar, true)); break;
    default: check(loaded(text, std::nullopt, false));
  }
  return 0;
}
