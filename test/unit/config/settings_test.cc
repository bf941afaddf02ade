#include "config/settings.h"

#include <doctest/doctest.h>

#include <set>

#include "config/values.h"

using namespace shoal;
using namespace shoal::config;

TEST_CASE("keys, flags and variables are unique") {
  std::set<std::string> keys;
  std::set<std::string> flags;
  std::set<std::string> variables;
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    CHECK(keys.insert(std::string(setting.key)).second);
    if (!flag_of(setting).empty()) CHECK(flags.insert(flag_of(setting)).second);
    if (!variable_of(setting).empty()) CHECK(variables.insert(variable_of(setting)).second);
  }
}

TEST_CASE("each row is whole: help, a unit, a good default or words for its absence, a good example") {
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    CHECK_FALSE(setting.help.empty());
    CHECK_FALSE(setting.unit.empty());
    CHECK_FALSE(setting.example.empty());
    CHECK(setting.fallback.empty() != setting.otherwise.empty());
    REQUIRE(static_cast<bool>(setting.apply));
    if (setting.type == Type::kDuration || setting.type == Type::kInteger) CHECK(setting.least < setting.most);
    if (setting.fallback.empty()) continue;
    Words words;
    Config config;
    CHECK(words_from_text(setting, setting.fallback, words).empty());
    CHECK(setting.apply(setting, words, config).empty());
  }
}

TEST_CASE("both ends of every range are inside and their neighbours outside") {
  for (const Setting& setting : settings()) {
    const bool number = setting.type == Type::kInteger;
    if (!number && setting.type != Type::kDuration) continue;
    CAPTURE(setting.key);
    const auto judge = [&](std::int64_t value) {
      Config config;
      const Words words = {number ? std::to_string(value) : std::to_string(value / 1'000'000) + "ms"};
      return setting.apply(setting, words, config).empty();
    };
    const std::int64_t step = number ? 1 : 1'000'000;
    CHECK(judge(setting.least));
    CHECK(judge(setting.most));
    CHECK_FALSE(judge(setting.least - step));
    CHECK_FALSE(judge(setting.most + step));
  }
}

TEST_CASE("every choice of a choice is accepted and gives its own value") {
  Config config;
  const auto apply = [&](std::string_view key, const char* word) {
    const Setting& setting = *find_setting(key);
    return setting.apply(setting, {word}, config);
  };
  CHECK(apply("gossip.profile", "local").empty());
  CHECK(config.gossip.profile == Profile::kLocal);
  CHECK(apply("gossip.profile", "wan").empty());
  CHECK(config.gossip.profile == Profile::kWan);
  CHECK(apply("log.level", "debug").empty());
  CHECK(config.log.level == LogLevel::kDebug);
  CHECK(apply("log.level", "error").empty());
  CHECK(config.log.level == LogLevel::kError);
  CHECK(apply("log.format", "json").empty());
  CHECK(config.log.format == LogFormatChoice::kJson);
  CHECK(apply("haproxy.verify", "none").empty());
  CHECK(config.haproxy.verify == Verify::kNone);
  CHECK(apply("worker.ready", "notify").empty());
  CHECK(config.worker.ready == Ready::kNotify);
  CHECK(apply("role", "task").empty());
  CHECK(config.role == Role::kTask);
  CHECK(apply("gossip.profile", "lann") == "is none of lan, wan, local; did you mean lan?");
}

TEST_CASE("flags and variables are made from the key unless a shorter flag is given") {
  CHECK(flag_of(*find_setting("gossip.join")) == "--join");
  CHECK(flag_of(*find_setting("gossip.members_max")) == "--gossip-members-max");
  CHECK(flag_of(*find_setting("gossip.timing.probe_interval")) == "--gossip-timing-probe-interval");
  CHECK(flag_of(pool_options_setting()).empty());
  CHECK(variable_of(*find_setting("gossip.join")) == "SHOAL_GOSSIP_JOIN");
  CHECK(variable_of(*find_setting("worker.ready_timeout")) == "SHOAL_WORKER_READY_TIMEOUT");
  CHECK(variable_of(pool_options_setting()).empty());
}

TEST_CASE("the nearest key forgives a slip and a wrong section") {
  CHECK(nearest_key("gossip.jion") == "gossip.join");
  CHECK(nearest_key("drain_timeout") == "task.drain_timeout");
  CHECK(nearest_key("haproxy.weight") == "task.weight");
  CHECK(nearest_key("tls.certificate").empty());
}

TEST_CASE("future keys are no settings, sections among them included") {
  for (const FutureKey& future : future_keys()) {
    CAPTURE(future.key);
    CHECK(find_setting(future.key) == nullptr);
    CHECK_FALSE(future.instead.empty());
  }
  CHECK(find_future_key("etcd.endpoints") != nullptr);
  CHECK(find_future_key("etcd") != nullptr);
  CHECK(find_future_key("haproxy.mode") != nullptr);
  CHECK(find_future_key("etcdx") == nullptr);
  CHECK(find_future_key("gossip.join") == nullptr);
}

TEST_CASE("a secret has no flag and is never shown") {
  Setting secret = *find_setting("task.backend");
  secret.secret = true;
  CHECK(flag_of(secret).empty());
  CHECK(toml_value(secret, {"hunter2"}) == "(secret)");
  const Given given{&secret, {}, {"hunter2"}, {Origin::Kind::kFile, "shoal.toml", 7}};
  CHECK(problem_with(given, "is bad").text == "shoal.toml:7: task.backend = (secret): is bad");
}

TEST_CASE("values are shown as TOML") {
  CHECK(toml_value(*find_setting("task.weight"), {"100"}) == "100");
  CHECK(toml_value(*find_setting("task.weight"), {"10x"}) == "\"10x\"");
  CHECK(toml_value(*find_setting("task.backend"), {"web"}) == "\"web\"");
  CHECK(toml_value(*find_setting("gossip.join"), {"a", "b"}) == "[\"a\", \"b\"]");
  CHECK(toml_value(*find_setting("node.tags"), {"zone=a", "x=y=z"}) == "{ \"zone\" = \"a\", \"x\" = \"y=z\" }");
  CHECK(pool_options_key("web") == "haproxy.pool.web.server_options");
  CHECK(pool_options_key("web.v2") == "haproxy.pool.\"web.v2\".server_options");
}

TEST_CASE("text becomes words as the type wants") {
  Words words;
  CHECK(words_from_text(*find_setting("gossip.join"), "a, b ,c", words).empty());
  CHECK(words == Words{"a", "b", "c"});
  CHECK_FALSE(words_from_text(*find_setting("gossip.join"), "a,,b", words).empty());
  CHECK(words_from_text(*find_setting("worker.command"), R"(["a","b,c"])", words).empty());
  CHECK(words == Words{"a", "b,c"});
  CHECK(words_from_text(*find_setting("worker.command"), "./server --port 80", words).find("JSON array") !=
        std::string::npos);
  CHECK(words_from_text(*find_setting("haproxy.server_options"), "check inter 2s", words).empty());
  CHECK(words == Words{"check inter 2s"});
}
