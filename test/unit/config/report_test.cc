#include "config/report.h"

#include <doctest/doctest.h>

using namespace shoal::config;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Loaded loaded_from(const std::string& file, Role role, const std::vector<std::string>& variables = {}) {
  Sources sources;
  sources.file_name = "shoal.toml";
  sources.file_text = file;
  sources.environment = variables;
  sources.role = role;
  sources.role_needed = false;
  sources.hostname = "host";
  sources.random_hex = "00000";
  return load(sources);
}

}  // namespace

TEST_CASE("help names every flag of a role and none of the other") {
  for (const Role role : {Role::kSidecar, Role::kTask}) {
    const std::string help = help_text(to_text(role));
    for (const Setting& setting : settings()) {
      const std::string flag = flag_of(setting);
      if (flag.empty() || setting.key.substr(0, 14) == "gossip.timing.") continue;
      CAPTURE(flag);
      const bool listed = has(help, setting.type == Type::kCommand ? flag + " " : "\n  " + flag + " ");
      CHECK(listed == concerns_role(setting, role));
    }
    CHECK(has(help, "--join-srv"));
    CHECK(has(help, "78 bad settings"));
  }
  CHECK(has(help_text(""), "shoal config check"));
  CHECK(has(help_text("config"), "reference"));
  CHECK(has(help_text("version"), "-o json"));
}

TEST_CASE("the reference has every key, flag, variable and default") {
  const std::string markdown = reference_markdown();
  const std::string json = reference_json();
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    CHECK(has(markdown, "\n| `" + std::string(setting.key) + "` | "));
    if (!flag_of(setting).empty()) CHECK(has(markdown, "`" + flag_of(setting) + "`"));
    if (!variable_of(setting).empty()) CHECK(has(markdown, "`" + variable_of(setting) + "`"));
    CHECK(has(json, "{\"key\":\"" + std::string(setting.key) + "\""));
  }
  CHECK(has(markdown, "DURATION, 10s to 24h"));
  CHECK(has(markdown, "NUMBER, 1 to 256"));
  CHECK(has(markdown, "lan\\|wan\\|local"));  // A bare | would end the cell.
}

TEST_CASE("print shows each value with its origin, and what is not set") {
  const Loaded loaded = loaded_from("[task]\nweight = 5\n", Role::kTask, {"SHOAL_LOG_LEVEL=debug"});
  const std::string text = values_text(loaded);
  const auto line_of = [&](const std::string& start) {
    const std::size_t at = text.find("\n" + start);
    REQUIRE(at != std::string::npos);
    return text.substr(at + 1, text.find('\n', at + 1) - at - 1);
  };
  CHECK(has(line_of("task.weight = 5"), "# shoal.toml:2"));
  CHECK(has(line_of("log.level = \"debug\""), "# env SHOAL_LOG_LEVEL"));
  CHECK(has(line_of("task.listen = \"0.0.0.0:0\""), "# default"));
  CHECK(has(line_of("# task.advertise_port"), "# default: the bound port"));
  CHECK_FALSE(has(text, "haproxy.socket"));  // A task has none.
  const std::string json = values_json(loaded);
  CHECK(has(json, "\"task.weight\": {\"value\":5,\"origin\":\"shoal.toml:2\"}"));
  CHECK(has(json, "\"log.level\": {\"value\":\"debug\",\"origin\":\"env SHOAL_LOG_LEVEL\"}"));
}

TEST_CASE("what print writes is a settings file with the same values") {
  const Loaded first = loaded_from(
      "[gossip]\njoin = ['a', 'b']\n[node]\ntags = { 'x y' = \"q\\\"\" }\n[haproxy.pool.'a.b']\nserver_options = "
      "'check'\n",
      Role::kSidecar);
  CHECK(first.errors.empty());
  const Loaded second = loaded_from(values_text(first), Role::kSidecar);
  for (const Problem& error : second.errors) FAIL_CHECK(error.text);
  REQUIRE(second.values.size() == first.values.size());
  for (std::size_t i = 0; i < first.values.size(); ++i) {
    CHECK(second.values[i].setting == first.values[i].setting);
    CHECK(second.values[i].pool == first.values[i].pool);
    CHECK(second.values[i].words == first.values[i].words);
  }
}

TEST_CASE("a secret is shown nowhere") {
  Setting secret = *find_setting("task.backend");
  secret.secret = true;
  Loaded loaded;
  loaded.values.push_back(Given{&secret, {}, {"hunter2"}, {}});
  CHECK_FALSE(has(values_text(loaded), "hunter2"));
  CHECK_FALSE(has(values_json(loaded), "hunter2"));
  CHECK(has(values_json(loaded), "\"(secret)\""));
}

TEST_CASE("check as JSON says whether all is well and what is not") {
  CHECK(check_json(loaded_from("", Role::kSidecar)) == "{\"ok\":true,\"errors\":[],\"warnings\":[]}\n");
  const std::string bad = check_json(loaded_from("x = 1\n[task]\nweight = 3\n", Role::kSidecar));
  CHECK(has(bad, "{\"ok\":false,\"errors\":[\"shoal.toml:1: x: there is no such setting"));
  CHECK(has(bad, "\"warnings\":[\"shoal.toml:3: "));
}
