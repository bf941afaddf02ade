#include "config/environment.h"

#include <string_view>

#include "config/text.h"

namespace shoal::config {
namespace {

constexpr std::string_view kPrefix = "SHOAL_";

/// "etcd." stands for every variable that begins with SHOAL_ETCD_.
const FutureKey* find_future_variable(std::string_view name) {
  for (const FutureKey& future : future_keys()) {
    const std::string variable = variable_of_key(future.key);
    const bool section = future.key.back() == '.';
    if (section ? name.substr(0, variable.size()) == variable : name == variable) return &future;
  }
  return nullptr;
}

}  // namespace

void load_environment(std::span<const std::string> variables, std::vector<Given>& given, std::vector<Problem>& problems,
                      std::vector<Problem>& warnings) {
  std::vector<std::string> names;
  for (const Setting& setting : settings()) names.push_back(variable_of(setting));

  for (const std::string& variable : variables) {
    const std::string_view all = variable;
    const std::size_t equals = all.find('=');
    const std::string_view name = all.substr(0, equals);
    if (name.substr(0, kPrefix.size()) != kPrefix || equals == std::string_view::npos) continue;
    const std::string_view value = all.substr(equals + 1);
    const std::string place = "env " + std::string(name);

    std::size_t row = 0;
    while (row < names.size() && names[row] != name) ++row;
    if (row < names.size()) {
      if (value.empty()) continue;
      Given one{&settings()[row], {}, {}, Origin{Origin::Kind::kEnvironment, std::string(name), 0}};
      const std::string wrong = words_from_text(*one.setting, value, one.words);
      if (!wrong.empty()) problems.push_back(problem_with(one, wrong));
      if (wrong.empty()) given.push_back(std::move(one));
      continue;
    }
    // The value is not shown: it may be a key.
    if (const FutureKey* future = find_future_variable(name)) {
      if (value.empty()) continue;
      problems.push_back({place, std::string(future->key),
                          place + ": this setting is not in this version (" + std::string(future->instead) +
                              "); remove the variable"});
      continue;
    }
    std::vector<std::string_view> candidates;
    for (const std::string& known : names) {
      if (!known.empty()) candidates.push_back(known);
    }
    warnings.push_back(
        {place, {}, place + ": is no setting of shoal and has no effect" + did_you_mean(nearest(name, candidates))});
  }
}

}  // namespace shoal::config
