#include "config/cli.h"

#include <doctest/doctest.h>

using namespace shoal::config;
using namespace std::chrono_literals;
using Kind = Command::Kind;

namespace {

std::variant<Command, UsageError> parse(const std::vector<std::string>& arguments) {
  return parse_command_line(arguments);
}

Command good(const std::vector<std::string>& arguments) {
  const auto parsed = parse(arguments);
  if (const auto* error = std::get_if<UsageError>(&parsed)) {
    FAIL_CHECK(error->message);
    return {};
  }
  return *std::get_if<Command>(&parsed);
}

UsageError bad(const std::vector<std::string>& arguments) {
  const auto parsed = parse(arguments);
  REQUIRE(std::holds_alternative<UsageError>(parsed));
  return *std::get_if<UsageError>(&parsed);
}

bool says(const std::vector<std::string>& arguments, std::string_view part) {
  const UsageError error = bad(arguments);
  CAPTURE(error.message);
  const bool found = error.message.find(part) != std::string::npos;
  CHECK(found);
  return found && error.exit_code == kExitUsage;
}

const Given* flag(const Command& command, std::string_view key) {
  for (const Given& given : command.flags) {
    if (given.setting->key == key) return &given;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("the role comes from the subcommand or is left to the file") {
  CHECK(good({"sidecar"}).role == Role::kSidecar);
  CHECK(good({"task", "--", "./w"}).role == Role::kTask);
  const Command file = good({"-c", "shoal.toml"});
  CHECK(file.kind == Kind::kRun);
  CHECK_FALSE(file.role.has_value());
  CHECK(file.file == "shoal.toml");
  CHECK(good({"--config=shoal.toml"}).file == "shoal.toml");
  CHECK(good({"-c", "f", "task", "--weight", "3", "--", "./w"}).role == Role::kTask);
}

TEST_CASE("flags take their value behind a space or an equals sign, and lists are repeated") {
  const Command command =
      good({"task", "--weight=7", "--join", "a", "--join=b", "--join-srv", "c", "--tag", "x=y=z", "--", "./w"});
  CHECK(flag(command, "task.weight")->words == Words{"7"});
  CHECK(to_text(flag(command, "task.weight")->origin) == "--weight");
  CHECK(flag(command, "gossip.join")->words == Words{"a", "b", "srv:c"});
  CHECK(flag(command, "node.tags")->words == Words{"x=y=z"});
}

TEST_CASE("every setting that has a flag can be set by it") {
  for (const Setting& setting : settings()) {
    const std::string name = flag_of(setting);
    if (name.empty() || setting.type == Type::kCommand) continue;
    CAPTURE(name);
    const Command command = good({"config", "print", name, "v"});
    REQUIRE(command.flags.size() == 1);
    CHECK(command.flags[0].setting == &setting);
    CHECK(command.flags[0].words == Words{"v"});
  }
}

TEST_CASE("the worker's command is all that follows, whatever it looks like") {
  const Words words = {"./w", "--weight", "3", "--help", "--", "-x"};
  std::vector<std::string> arguments = {"task", "--weight", "5", "--"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  CHECK(flag(good(arguments), "worker.command")->words == words);
  CHECK(flag(good(arguments), "task.weight")->words == Words{"5"});
  CHECK(good(arguments).kind == Kind::kRun);  // The --help is the worker's.
  arguments[3] = "--worker";
  CHECK(flag(good(arguments), "worker.command")->words == words);
  CHECK(to_text(flag(good(arguments), "worker.command")->origin) == "--worker");
  CHECK(flag(good({"task", "--worker", "--", "./w"}), "worker.command")->words == Words{"./w"});
  CHECK(flag(good({"-c", "f", "--", "./w"}), "worker.command")->words == Words{"./w"});
  CHECK(says({"task", "--"}, "no command after --"));
  CHECK(says({"task", "--worker"}, "no command after --worker"));
  CHECK(says({"task", "--worker=./w"}, "takes all that follows"));
  CHECK(says({"sidecar", "--worker", "./w"}, "setting of shoal task"));
}

TEST_CASE("after a sidecar's -- stands HAProxy's command") {
  const Command command = good({"sidecar", "--bind", "127.0.0.1", "--", "haproxy", "-W", "-f", "--", "x"});
  CHECK(flag(command, "haproxy.command")->words == Words{"haproxy", "-W", "-f", "--", "x"});
  CHECK(to_text(flag(command, "haproxy.command")->origin) == "after --");
  CHECK(flag(command, "worker.command") == nullptr);
  CHECK(flag(good({"config", "check", "sidecar", "--", "haproxy"}), "haproxy.command") != nullptr);
  CHECK(says({"sidecar", "--"}, "no command after --"));
  CHECK(says({"sidecar", "haproxy"}, "HAProxy's command goes after --"));
  CHECK(says({"sidecar", "--haproxy-command", "x"}, "SHOAL_HAPROXY_COMMAND"));
}

TEST_CASE("an unknown flag, command or leftover argument is named with the nearest known one") {
  CHECK(says({"task", "--weigth", "3"}, "no flag --weigth; did you mean --weight?"));
  CHECK(says({"task", "--weigth=3"}, "no flag --weigth; did you mean --weight?"));
  CHECK(says({"task", "--gossip-join", "a"}, "did you mean --join?"));
  CHECK(says({"task", "--weig", "3"}, "no flag --weig"));  // Nothing is abbreviated.
  CHECK(says({"taks"}, "no command \"taks\"; did you mean task?"));
  CHECK(says({"config", "chekc"}, "did you mean check?"));
  CHECK(says({"config"}, "check, print, reference"));
  CHECK(says({"task", "./w"}, "unexpected argument \"./w\"; a worker's command goes after --"));
  CHECK(says({"sidecar", "x"}, "unexpected argument \"x\""));
  CHECK(says({"-x"}, "no flag -x"));
  CHECK(says({"task", "-"}, "unexpected argument \"-\""));
  CHECK(says({}, "shoal sidecar, shoal task"));
  CHECK(says({"servers"}, "not in this version"));
  CHECK(says({"version", "x"}, "unexpected argument"));
  CHECK(says({"task", "--role", "task"}, "shoal sidecar or shoal task"));
}

TEST_CASE("a flag without its value, an empty or a second value is refused") {
  CHECK(says({"task", "--weight"}, "--weight needs a value"));
  CHECK(says({"task", "--join", "--weight", "3"}, "--join needs a value"));
  CHECK(says({"task", "--weight="}, "empty value"));
  CHECK(says({"task", "--weight", "1", "--weight", "2"}, "given twice"));
  CHECK(says({"-c"}, "-c needs a value"));
  CHECK(says({"-c", "a", "-c", "b"}, "-c is given twice"));
}

TEST_CASE("a flag of the other role is refused") {
  CHECK(says({"sidecar", "--weight", "3"}, "setting of shoal task"));
  CHECK(says({"task", "--haproxy-socket", "/s"}, "setting of shoal sidecar"));
}

TEST_CASE("a key is never a flag, and the error says where it goes without showing it") {
  const UsageError error = bad({"task", "--gossip-key", "c2VjcmV0"});
  CHECK(error.message.find("never a flag; write gossip.key in the file, or set the variable SHOAL_GOSSIP_KEY") !=
        std::string::npos);
  CHECK(error.message.find("c2VjcmV0") == std::string::npos);
  CHECK(says({"sidecar", "--gossip-keyring-file=/k"}, "SHOAL_GOSSIP_KEYRING_FILE"));
}

TEST_CASE("what later versions do is refused by name with the code for settings") {
  const auto later = [](const std::vector<std::string>& arguments, std::string_view key) {
    const UsageError error = bad(arguments);
    CHECK(error.exit_code == kExitBadSettings);
    CHECK(error.message.find(key) != std::string::npos);
    CHECK(error.message.find("not in this version") != std::string::npos);
  };
  later({"task", "--http", ":80"}, "http.bind");
  later({"sidecar", "--http", ":80"}, "http.bind");
  later({"sidecar", "--haproxy-mode", "reload"}, "haproxy.mode");
}

TEST_CASE("help is given everywhere, beside mistakes too") {
  CHECK(good({"--help"}).kind == Kind::kHelp);
  CHECK(good({"-h"}).help_topic.empty());
  CHECK(good({"task", "--help"}).help_topic == "task");
  CHECK(good({"sidecar", "--nonsense", "--help"}).help_topic == "sidecar");
  CHECK(good({"config", "--help"}).help_topic == "config");
  CHECK(good({"config", "print", "-h"}).help_topic == "config");
  CHECK(good({"version", "--help"}).help_topic == "version");
}

TEST_CASE("commands that print data take -o json, and only they do") {
  CHECK(good({"version", "-o", "json"}).json);
  CHECK_FALSE(good({"version", "-o", "text"}).json);
  CHECK(good({"-o", "json", "version"}).json);
  CHECK(good({"--version"}).kind == Kind::kVersion);
  CHECK(good({"config", "print", "-o", "json"}).json);
  CHECK(says({"version", "-o", "xml"}, "-o \"xml\""));
  CHECK(says({"task", "-o", "json", "--", "./w"}, "-o has no meaning"));
  CHECK(says({"version", "-c", "f"}, "-c has no meaning"));
  CHECK(says({"config", "reference", "--weight", "3"}, "--weight has no meaning"));
}

TEST_CASE("config check and print take a file, a role and every flag") {
  const Command print = good({"config", "print", "-c", "f", "task", "--weight", "3", "--", "./w"});
  CHECK(print.kind == Kind::kConfigPrint);
  CHECK(print.role == Role::kTask);
  CHECK(print.flags.size() == 2);
  CHECK(good({"-c", "f", "config", "check"}).kind == Kind::kConfigCheck);
  CHECK(good({"config", "check", "sidecar"}).role == Role::kSidecar);
  CHECK(says({"config", "check", "sidecar", "task"}, "unexpected argument"));
  CHECK(good({"config", "reference"}).kind == Kind::kConfigReference);
}

TEST_CASE("no command line brings it down") {
  const std::vector<std::string> words = {"",          "-",      "--",      "---",  "-c",     "--worker", "--join",
                                          "=",         "--=",    "--a=",    "task", "config", "print",    "sidecar",
                                          "-o",        "json",   "--help",  "\n",   "-h",     "check",    "{",
                                          "--weight=", "--node", "version", "\xff"};
  for (const std::string& a : words) {
    for (const std::string& b : words) {
      for (const std::string& c : words) {
        const auto parsed = parse({a, b, c});
        if (const auto* error = std::get_if<UsageError>(&parsed)) CHECK_FALSE(error->message.empty());
      }
    }
  }
}

TEST_CASE("commands that ask a running shoal take their words, their flags and the way to it") {
  CHECK(good({"health"}).kind == Kind::kHealth);
  CHECK_FALSE(good({"health"}).ready);
  CHECK(good({"health", "--ready", "-o", "json"}).ready);
  CHECK(good({"health", "--timeout", "300ms"}).timeout == 300ms);
  CHECK(good({"status", "--timeout=2s"}).timeout == 2s);
  CHECK(good({"status"}).kind == Kind::kStatus);
  CHECK(good({"members"}).kind == Kind::kMembers);
  CHECK(good({"-o", "json", "members"}).json);
  CHECK(good({"keys", "list", "-c", "f"}).file == "f");
  CHECK(good({"keys", "install", "K="}).subject == "K=");
  CHECK(good({"keys", "use", "-"}).subject == "-");
  CHECK(good({"keys", "remove", "K="}).kind == Kind::kKeysRemove);
  CHECK(good({"force-leave", "web-1", "--prune"}).prune);
  CHECK_FALSE(good({"force-leave", "web-1"}).prune);
  CHECK(good({"drain", "web-1", "--stop"}).stop);
  CHECK(good({"maint", "web-1"}).wish == "maint");
  CHECK(good({"ready", "web-1"}).subject == "web-1");
  const Command event = good({"event", "deploy", "v1 x", "--coalesce", "--control-socket", "@a"});
  CHECK(event.kind == Kind::kEvent);
  CHECK(event.subject == "deploy");
  CHECK(event.payload == "v1 x");
  CHECK(event.coalesce);
  REQUIRE(event.flags.size() == 1);
  CHECK(event.flags[0].setting->key == "control.socket");
  CHECK(good({"event", "deploy", "--", "-5"}).payload == "-5");
  CHECK(good({"keygen"}).kind == Kind::kKeygen);
  CHECK(asks_running(Kind::kMembers));
  CHECK_FALSE(asks_running(Kind::kKeygen));
  CHECK_FALSE(asks_running(Kind::kRun));
  CHECK(good({"keys", "--help"}).help_topic == "keys");
}

TEST_CASE("mistakes in such a command are named, a key never") {
  CHECK(says({"membres"}, "did you mean members?"));
  CHECK(says({"keys"}, "needs one of list, install, use, remove"));
  CHECK(says({"keys", "instal", "K="}, "did you mean install?"));
  CHECK(says({"keys", "install"}, "an argument is missing; write shoal keys install KEY"));
  CHECK(says({"event"}, "write shoal event NAME [PAYLOAD]"));
  CHECK(says({"event", ""}, "an empty argument"));
  CHECK(says({"members", "x"}, "one argument too many"));
  CHECK(says({"health", "now"}, "one argument too many; write shoal health [--ready]"));
  CHECK(says({"health", "--redy"}, "did you mean --ready?"));
  CHECK(says({"status", "--ready"}, "--ready needs a value"));
  CHECK(says({"health", "--timeout"}, "--timeout needs a value"));
  for (const char* timeout : {"0s", "61s", "soon", "5", "-1s"})
    CHECK(says({"health", "--timeout", timeout}, "1ms to 1m"));
  CHECK(says({"members", "--timeout", "1s"}, "there is no flag --timeout"));
  CHECK(says({"event", "--coalesc", "a"}, "did you mean --coalesce?"));
  CHECK(says({"members", "--prune"}, "there is no flag --prune"));
  CHECK(says({"members", "--weight", "3"}, "--weight has no meaning for shoal members"));
  CHECK(says({"keygen", "-c", "f"}, "-c has no meaning for shoal keygen"));
  CHECK(bad({"keys", "install", "K=", "c2VjcmV0"}).message.find("c2VjcmV0") == std::string::npos);
}
