// toml++ 3.3.0 has an assertion that a malformed file can reach; without assertions it gives an ordinary parse error.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "config/toml_loader.h"

#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>

#include "config/text.h"

namespace shoal::config {
namespace {

// A dotted key makes one table inside the other for each dot, and the parser frees them by recursion: so many are far
// from the end of the stack, and far above any address list on one line that a person would write.
constexpr std::int64_t kDotsOnLineMax = 4096;

std::string example_of(const Setting& setting) {
  // The last part of the key, as it is written inside its section.
  return std::string(setting.key.substr(setting.key.rfind('.') + 1)) + " = " + std::string(setting.example);
}

std::string_view expected(Type type) {
  switch (type) {
    case Type::kText: return "a text in quotes";
    case Type::kChoice: return "one of its words in quotes";
    case Type::kDuration: return "a duration in quotes";
    case Type::kInteger: return "a whole number without quotes";
    case Type::kList: return "a list of texts";
    case Type::kTags: return "a table of texts";
    case Type::kCommand: return "a list of texts, the program first";
  }
  return {};
}

std::string_view found_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::none: return "nothing";
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a text";
    case toml::node_type::integer: return "a whole number";
    case toml::node_type::floating_point: return "a number with a fraction";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or a time";
  }
  return "something else";
}

/// " = 30" for what fits in a message, nothing for lists and tables.
std::string scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return " = " + quoted(text->get());
  if (const auto* number = node.as_integer()) return " = " + std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return " = " + std::to_string(number->get());
  if (const auto* yes = node.as_boolean()) return yes->get() ? " = true" : " = false";
  return {};
}

/// Walks the parsed file along the settings table.
class Walk {
 public:
  Walk(std::string_view file_name, std::vector<Given>& given, std::vector<Problem>& problems)
      : file_name_(file_name), given_(given), problems_(problems) {}

  /// `prefix` is "" or a known section with its dot, so the depth is that of the longest key.
  void table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string full = prefix + std::string(key.str());
      const int line = static_cast<int>(key.source().begin.line);
      if (full == "haproxy.pool") {
        pools(node, line);
      } else if (const Setting* setting = find_setting(full);
                 setting != nullptr && setting != &pool_options_setting()) {
        value(*setting, {}, node, line);
      } else if (find_future_key(full) != nullptr) {
        refuse_future(full, line);
      } else if (node.is_table() && is_section(full + ".")) {
        this->table(*node.as_table(), full + ".");
      } else {
        refuse_unknown(full, node.is_table(), line);
      }
    }
  }

 private:
  [[nodiscard]] std::string place(int line) const { return file_name_ + ":" + std::to_string(line); }

  static bool is_section(std::string_view start) {
    const auto begins = [&](std::string_view key) { return key.substr(0, start.size()) == start; };
    const auto all = settings();
    const auto future = future_keys();
    return std::any_of(all.begin(), all.end(), [&](const Setting& s) { return begins(s.key); }) ||
           std::any_of(future.begin(), future.end(), [&](const FutureKey& f) { return begins(f.key); });
  }

  void problem(int line, const std::string& key, const std::string& what) {
    problems_.push_back({place(line), key, place(line) + ": " + key + ": " + what});
  }

  void refuse_future(const std::string& key, int line) {
    const FutureKey& future = *find_future_key(key);
    problem(line, key, "this setting is not in this version (" + std::string(future.instead) + "); remove it");
  }

  void refuse_unknown(const std::string& key, bool is_table, int line) {
    if (!is_table) {
      problem(line, key, "there is no such setting" + did_you_mean(nearest_key(key)));
      return;
    }
    // One message for a mistyped section, not one for each key in it.
    std::vector<std::string> sections;
    for (const Setting& setting : settings()) {
      const std::size_t dot = setting.key.rfind('.');
      if (dot == std::string_view::npos || setting.key.find("NAME") != std::string_view::npos) continue;
      std::string section(setting.key.substr(0, dot));
      if (sections.empty() || sections.back() != section) sections.push_back(std::move(section));
    }
    sections.emplace_back("haproxy.pool");
    const std::vector<std::string_view> candidates(sections.begin(), sections.end());
    problem(line, "[" + key + "]", "there is no such section" + did_you_mean(nearest(key, candidates)));
  }

  void pools(const toml::node& node, int line) {
    if (!node.is_table()) {
      problem(line, "haproxy.pool", "expected a table for each pool, such as [haproxy.pool.web]");
      return;
    }
    for (const auto& [key, pool] : *node.as_table()) {
      const std::string name(key.str());
      const int pool_line = static_cast<int>(key.source().begin.line);
      if (!pool.is_table()) {
        problem(pool_line, "haproxy.pool." + quoted(name), "expected a table, such as [haproxy.pool.web]");
        continue;
      }
      for (const auto& [option, value_node] : *pool.as_table()) {
        const int option_line = static_cast<int>(option.source().begin.line);
        if (option.str() == "server_options") {
          value(pool_options_setting(), name, value_node, option_line);
        } else {
          problem(option_line, "haproxy.pool." + quoted(name) + "." + std::string(option.str()),
                  "there is no such setting" + did_you_mean("server_options"));
        }
      }
    }
  }

  void value(const Setting& setting, const std::string& pool, const toml::node& node, int line) {
    Given given{&setting, pool, {}, Origin{Origin::Kind::kFile, file_name_, line}};
    if (const std::string wrong = read_words(setting, node, given.words); !wrong.empty()) {
      const std::string key = pool.empty() ? std::string(setting.key) : pool_options_key(pool);
      problem(line, key + (setting.secret ? "" : scalar_text(node)), wrong + ", such as " + example_of(setting));
      return;
    }
    given_.push_back(std::move(given));
  }

  static std::string wrong_type(const Setting& setting, const toml::node& node) {
    return "expected " + std::string(expected(setting.type)) + ", found " + std::string(found_text(node.type()));
  }

  static std::string read_words(const Setting& setting, const toml::node& node, Words& words) {
    switch (setting.type) {
      case Type::kText:
      case Type::kChoice:
      case Type::kDuration:
        if (!node.is_string()) return wrong_type(setting, node);
        words.push_back(node.as_string()->get());
        return {};
      case Type::kInteger:
        if (!node.is_integer()) return wrong_type(setting, node);
        words.push_back(std::to_string(node.as_integer()->get()));
        return {};
      case Type::kList:
      case Type::kCommand:
        if (!node.is_array()) return wrong_type(setting, node);
        for (const toml::node& element : *node.as_array()) {
          if (!element.is_string()) return wrong_type(setting, element) + " in it";
          words.push_back(element.as_string()->get());
        }
        return {};
      case Type::kTags:
        if (!node.is_table()) return wrong_type(setting, node);
        for (const auto& [name, element] : *node.as_table()) {
          if (!element.is_string()) return wrong_type(setting, element) + " in it";
          if (name.str().find('=') != std::string_view::npos) return "a tag's name cannot have a = in it";
          words.push_back(std::string(name.str()) + "=" + element.as_string()->get());
        }
        return {};
    }
    return {};
  }

  std::string file_name_;
  std::vector<Given>& given_;
  std::vector<Problem>& problems_;
};

int line_of(std::string_view text, std::size_t position) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
}

/// What the parser must not be shown; empty when there is nothing of it. `position` is where.
std::string unfit(std::string_view text, std::size_t& position) {
  position = text.find('\0');
  if (position != std::string_view::npos) return "a NUL byte; this is no text file";
  // After some bytes U+FEFF leads toml++ 3.3.0 into undefined behaviour.
  position = text.find("\xef\xbb\xbf");
  if (position != std::string_view::npos) return "the invisible character U+FEFF (a byte order mark); delete it";
  position = 0;
  for (const std::string_view line : split(text, '\n')) {
    if (std::count(line.begin(), line.end(), '.') > kDotsOnLineMax) {
      return "a line with over " + std::to_string(kDotsOnLineMax) + " dots; write a long list over several lines";
    }
    position += line.size() + 1;
  }
  position = 0;
  return {};
}

}  // namespace

void load_toml(std::string_view file_name, std::string_view text, std::vector<Given>& given,
               std::vector<Problem>& problems) {
  const std::string name(file_name);
  if (text.size() > kFileBytesMax) {
    problems.push_back({name,
                        {},
                        name + ": has " + std::to_string(text.size()) + " bytes; a settings file has at most " +
                            std::to_string(kFileBytesMax)});
    return;
  }
  std::size_t position = 0;
  if (const std::string wrong = unfit(text, position); !wrong.empty()) {
    const std::string place = name + ":" + std::to_string(line_of(text, position));
    problems.push_back({place, {}, place + ": there is " + wrong});
    return;
  }
  const toml::parse_result result = toml::parse(text, name);
  if (!result) {
    const toml::parse_error& error = result.error();
    const std::string place = name + ":" + std::to_string(error.source().begin.line);
    problems.push_back({place, {}, place + ": " + std::string(error.description())});
    return;
  }
  // In the order of the file, whatever order the table keeps.
  std::vector<Given> found;
  std::vector<Problem> wrong;
  Walk(file_name, found, wrong).table(result.table(), "");
  const auto line_in = [&](const Problem& problem) { return std::atoi(problem.place.c_str() + name.size() + 1); };
  std::stable_sort(wrong.begin(), wrong.end(),
                   [&](const Problem& a, const Problem& b) { return line_in(a) < line_in(b); });
  given.insert(given.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  problems.insert(problems.end(), std::make_move_iterator(wrong.begin()), std::make_move_iterator(wrong.end()));
}

}  // namespace shoal::config
