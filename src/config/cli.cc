#include "config/cli.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/text.h"
#include "config/values.h"

namespace shoal::config {
namespace {

using Kind = Command::Kind;

constexpr std::array<std::string_view, 14> kCommands = {"health",  "status",  "sidecar", "task", "config",
                                                        "version", "members", "keygen",  "keys", "force-leave",
                                                        "event",   "drain",   "ready",   "maint"};
constexpr std::array<std::string_view, 3> kConfigCommands = {"check", "print", "reference"};
constexpr std::array<std::string_view, 4> kKeysCommands = {"list", "install", "use", "remove"};
constexpr std::array<std::string_view, 4> kFutureCommands = {"servers", "events", "explain", "doctor"};

/// What a command that does not run a role takes besides options.
struct Arguments {
  Kind kind;
  std::string_view usage;
  std::size_t least, most;
};
constexpr std::array kArguments = {
    Arguments{Kind::kKeygen, "shoal keygen", 0, 0},
    Arguments{Kind::kHealth, "shoal health [--ready]", 0, 0},
    Arguments{Kind::kStatus, "shoal status", 0, 0},
    Arguments{Kind::kMembers, "shoal members", 0, 0},
    Arguments{Kind::kKeysList, "shoal keys list", 0, 0},
    Arguments{Kind::kKeysInstall, "shoal keys install KEY (- reads it from stdin)", 1, 1},
    Arguments{Kind::kKeysUse, "shoal keys use KEY (- reads it from stdin)", 1, 1},
    Arguments{Kind::kKeysRemove, "shoal keys remove KEY (- reads it from stdin)", 1, 1},
    Arguments{Kind::kForceLeave, "shoal force-leave NAME [--prune]", 1, 1},
    Arguments{Kind::kEvent, "shoal event NAME [PAYLOAD] [--coalesce]", 1, 2},
    Arguments{Kind::kSteer, "shoal drain|ready|maint NAME [--stop]", 1, 1},
};

const Arguments* arguments_of(Kind kind) {
  const auto* found =
      std::find_if(kArguments.begin(), kArguments.end(), [&](const Arguments& a) { return a.kind == kind; });
  return found == kArguments.end() ? nullptr : found;
}

template <std::size_t kSize>
bool contains(const std::array<std::string_view, kSize>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

template <std::size_t kSize>
std::string_view nearest_of(std::string_view word, const std::array<std::string_view, kSize>& words) {
  return nearest(word, std::vector<std::string_view>(words.begin(), words.end()));
}

/// Reads argv from left to right. Once `failed_` is set nothing else is read.
class Walk {
 public:
  explicit Walk(std::span<const std::string> arguments) : arguments_(arguments) {}

  std::variant<Command, UsageError> run() {
    // --help anywhere before a worker's own words wins over any mistake: it is asked for by those who make mistakes.
    const bool help = wants_help();
    read_command();
    while (!failed_ && at_ < arguments_.size()) read_argument();
    if (help) {
      Command out;
      out.kind = Command::Kind::kHelp;
      out.help_topic = topic_;
      return out;
    }
    if (!failed_) check_whole();
    if (failed_) return *failed_;
    return std::move(command_);
  }

 private:
  void fail(std::string message, int exit_code = kExitUsage) {
    if (!failed_) failed_ = UsageError{exit_code, std::move(message)};
  }

  [[nodiscard]] bool wants_help() const {
    for (const std::string& argument : arguments_) {
      if (argument == "--" || argument == "--worker") return false;
      if (argument == "--help" || argument == "-h") return true;
    }
    return false;
  }

  void read_command() {
    if (arguments_.empty()) return fail("name a command or a settings file: shoal sidecar, shoal task, shoal -c FILE");
    // Options of the whole program may stand before the command: shoal -c FILE config check.
    while (!failed_ && at_ < arguments_.size() && arguments_[at_].substr(0, 1) == "-" && arguments_[at_] != "--") {
      if (arguments_[at_] == "--version") {
        ++at_;
        command_.kind = Command::Kind::kVersion;
        topic_ = "version";
        return;
      }
      read_argument();
    }
    if (failed_ || at_ >= arguments_.size() || arguments_[at_] == "--") return;
    const std::string& word = arguments_[at_++];
    if (word == "sidecar" || word == "task") {
      command_.role = word == "sidecar" ? Role::kSidecar : Role::kTask;
      topic_ = word;
    } else if (word == "version") {
      command_.kind = Command::Kind::kVersion;
      topic_ = "version";
    } else if (word == "config") {
      topic_ = "config";
      read_config_command();
    } else if (contains(kCommands, word)) {
      topic_ = word;
      if (word == "keygen") command_.kind = Kind::kKeygen;
      if (word == "health") command_.kind = Kind::kHealth;
      if (word == "status") command_.kind = Kind::kStatus;
      if (word == "members") command_.kind = Kind::kMembers;
      if (word == "force-leave") command_.kind = Kind::kForceLeave;
      if (word == "event") command_.kind = Kind::kEvent;
      if (word == "drain" || word == "ready" || word == "maint") {
        command_.kind = Kind::kSteer;
        command_.wish = word;
      }
      if (word == "keys") read_keys_command();
    } else if (contains(kFutureCommands, word)) {
      fail("the command " + quoted(word) + " is not in this version; see shoal --help");
    } else {
      fail("there is no command " + quoted(word) + did_you_mean(nearest_of(word, kCommands)));
    }
  }

  /// Options may stand before the second word.
  void read_options() {
    while (!failed_ && at_ < arguments_.size() && arguments_[at_].substr(0, 1) == "-" && arguments_[at_] != "--") {
      read_argument();
    }
  }

  void read_keys_command() {
    read_options();
    if (failed_) return;
    if (at_ == arguments_.size() || arguments_[at_] == "--")
      return fail("shoal keys needs one of list, install, use, remove");
    const std::string& word = arguments_[at_++];
    if (word == "list") {
      command_.kind = Kind::kKeysList;
    } else if (word == "install") {
      command_.kind = Kind::kKeysInstall;
    } else if (word == "use") {
      command_.kind = Kind::kKeysUse;
    } else if (word == "remove") {
      command_.kind = Kind::kKeysRemove;
    } else {
      fail("there is no command " + quoted("keys " + word) + did_you_mean(nearest_of(word, kKeysCommands)));
    }
  }

  void read_config_command() {
    read_options();
    if (failed_) return;
    if (at_ == arguments_.size() || arguments_[at_] == "--")
      return fail("shoal config needs one of check, print, reference");
    const std::string& word = arguments_[at_++];
    if (word == "check") {
      command_.kind = Command::Kind::kConfigCheck;
    } else if (word == "print") {
      command_.kind = Command::Kind::kConfigPrint;
    } else if (word == "reference") {
      command_.kind = Command::Kind::kConfigReference;
    } else {
      fail("there is no command " + quoted("config " + word) + did_you_mean(nearest_of(word, kConfigCommands)));
    }
  }

  /// `shoal config print task` shows what `shoal task` would run with.
  [[nodiscard]] bool is_role_to_look_at(const std::string& word) const {
    const bool looks = command_.kind == Command::Kind::kConfigCheck || command_.kind == Command::Kind::kConfigPrint;
    return looks && !command_.role && (word == "sidecar" || word == "task");
  }

  /// The value of the option at `at_`, either behind "=" or the next argument; moves behind it.
  bool take_value(std::string_view flag, std::string& out) {
    const std::string& argument = arguments_[at_++];
    if (argument.size() > flag.size()) {
      // Short options are written `-c FILE`; "=" belongs to long ones.
      out = argument.substr(flag.size() + 1);
    } else if (at_ < arguments_.size() && arguments_[at_].substr(0, 2) != "--") {
      out = arguments_[at_++];
    } else {
      fail(std::string(flag) + " needs a value after it");
      return false;
    }
    if (out.empty()) fail(std::string(flag) + " has an empty value; leave the flag out for the default");
    return !failed_;
  }

  void read_argument() {
    const std::string& argument = arguments_[at_];
    if (argument == "--") {
      ++at_;
      return take_rest("--");
    }
    if (is_role_to_look_at(argument)) {
      command_.role = argument == "sidecar" ? Role::kSidecar : Role::kTask;
      ++at_;
      return;
    }
    const Arguments* takes = arguments_of(command_.kind);
    if (takes != nullptr && (argument.size() < 2 || argument[0] != '-')) {
      // The word itself is not shown: it may be a key.
      if (words_.size() == takes->most) return fail("one argument too many; write " + std::string(takes->usage));
      words_.push_back(argument);
      ++at_;
      return;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      const bool runs = command_.kind == Command::Kind::kRun;
      return fail("unexpected argument " + quoted(argument) +
                  (!runs                             ? ""
                   : command_.role == Role::kSidecar ? "; HAProxy's command goes after --"
                                                     : "; a worker's command goes after --"));
    }
    const std::string flag = argument.substr(0, argument.find('='));
    if (flag == "-h" || flag == "--help") {
      ++at_;
    } else if (flag == "-c" || flag == "--config") {
      std::string file;
      if (!take_value(flag, file)) return;
      if (!command_.file.empty()) return fail("-c is given twice; there is one settings file");
      command_.file = file;
    } else if (flag == "-o" || flag == "--output") {
      std::string format;
      if (!take_value(flag, format)) return;
      if (format != "json" && format != "text") return fail("-o " + quoted(format) + ": write -o json or -o text");
      command_.json = format == "json";
      output_given_ = true;
    } else if (argument == "--prune" && command_.kind == Kind::kForceLeave) {
      command_.prune = true;
      ++at_;
    } else if (argument == "--coalesce" && command_.kind == Kind::kEvent) {
      command_.coalesce = true;
      ++at_;
    } else if (argument == "--stop" && command_.kind == Kind::kSteer && command_.wish != "ready") {
      command_.stop = true;
      ++at_;
    } else if (argument == "--ready" && command_.kind == Kind::kHealth) {
      command_.ready = true;
      ++at_;
    } else if (flag == "--timeout" && has_timeout(command_.kind)) {
      read_timeout(flag);
    } else if (flag == "--worker") {
      if (argument != flag) return fail("--worker takes all that follows: write --worker COMMAND ARGS..., without =");
      ++at_;
      take_rest("--worker");
    } else {
      read_setting(flag);
    }
  }

  static bool has_timeout(Kind kind) { return kind == Kind::kHealth || kind == Kind::kStatus; }

  void read_timeout(const std::string& flag) {
    constexpr Duration kLeast = 1ms, kMost = 1min;
    std::string text;
    if (!take_value(flag, text)) return;
    const auto timeout = parse_duration(text);
    if (!timeout || *timeout < kLeast || *timeout > kMost)
      return fail(flag + " " + quoted(text) + ": write 1ms to 1m, as in 500ms or 2s");
    command_.timeout = *timeout;
  }

  void read_setting(const std::string& flag) {
    if (flag == "--join-srv") {
      std::string name;
      if (take_value(flag, name)) add(*find_setting("gossip.join"), "srv:" + name, "--join-srv");
      return;
    }
    for (const Setting& setting : settings()) {
      if (flag_of(setting) != flag) continue;
      if (command_.role && !concerns_role(setting, *command_.role)) {
        const Role other = *command_.role == Role::kTask ? Role::kSidecar : Role::kTask;
        return fail(flag + " is a setting of shoal " + std::string(to_text(other)) + " (" + std::string(setting.key) +
                    ") and has no effect in a " + std::string(to_text(*command_.role)));
      }
      std::string value;
      if (take_value(flag, value)) add(setting, std::move(value), flag);
      return;
    }
    refuse_flag(flag);
  }

  void refuse_flag(const std::string& flag) {
    for (const FutureKey& future : future_keys()) {
      if (flag != future.flag && flag != long_flag_of(future.key)) continue;
      return fail(flag + ": " + std::string(future.key) + " is not in this version (" + std::string(future.instead) +
                      "); leave the flag out",
                  kExitBadSettings);
    }
    for (const Setting& setting : settings()) {
      if (flag_of(setting).empty() && flag == long_flag_of(setting.key) && setting.key != "role" &&
          !variable_of(setting).empty())
        return fail("there is no flag " + flag + ": it is never a flag; write " + std::string(setting.key) +
                    " in the file, or set the variable " + variable_of(setting));
    }
    if (arguments_of(command_.kind) != nullptr) {
      std::vector<std::string_view> known = {"--config", "--output", "--help"};
      if (asks_running(command_.kind)) known.push_back("--control-socket");
      if (has_timeout(command_.kind)) known.push_back("--timeout");
      if (command_.kind == Kind::kHealth) known.push_back("--ready");
      if (command_.kind == Kind::kForceLeave) known.push_back("--prune");
      if (command_.kind == Kind::kEvent) known.push_back("--coalesce");
      if (command_.kind == Kind::kSteer && command_.wish != "ready") known.push_back("--stop");
      return fail("there is no flag " + flag + did_you_mean(nearest(flag, known)));
    }
    if (flag == "--role") return fail("--role is no flag; write shoal sidecar or shoal task");
    std::vector<std::string> flags = {"--config", "--output", "--help", "--join-srv"};
    for (const Setting& setting : settings()) {
      const std::string known = flag_of(setting);
      if (known.empty()) continue;
      if (flag == long_flag_of(setting.key)) return fail("there is no flag " + flag + did_you_mean(known));
      flags.push_back(known);
    }
    const std::vector<std::string_view> candidates(flags.begin(), flags.end());
    fail("there is no flag " + flag + did_you_mean(nearest(flag, candidates)));
  }

  void add(const Setting& setting, std::string value, const std::string& flag) {
    const bool list = setting.type == Type::kList || setting.type == Type::kTags;
    for (Given& given : command_.flags) {
      if (given.setting != &setting) continue;
      if (!list) return fail(flag + " is given twice; it takes one value");
      given.words.push_back(std::move(value));
      return;
    }
    command_.flags.push_back(Given{&setting, {}, {std::move(value)}, Origin{Origin::Kind::kFlag, flag, 0}});
  }

  /// The command of the worker or of HAProxy: nothing behind it is shoal's. Where only the file knows the role, load()
  /// gives it to the right one.
  void take_rest(const std::string& marker) {
    Words words(arguments_.begin() + static_cast<std::ptrdiff_t>(at_), arguments_.end());
    at_ = arguments_.size();
    if (const Arguments* takes = arguments_of(command_.kind); takes != nullptr && marker == "--") {
      // A payload or a name that begins with a dash.
      for (std::string& word : words) words_.push_back(std::move(word));
      return;
    }
    // `--worker -- ./server` is what somebody writes who knows both forms.
    if (marker == "--worker" && !words.empty() && words[0] == "--") words.erase(words.begin());
    const bool sidecar = command_.role == Role::kSidecar;
    if (sidecar && marker == "--worker") return fail("--worker is a setting of shoal task (worker.command)");
    if (words.empty()) return fail("there is no command after " + marker);
    command_.flags.push_back(Given{find_setting(sidecar ? "haproxy.command" : "worker.command"),
                                   {},
                                   std::move(words),
                                   Origin{Origin::Kind::kFlag, marker == "--" ? kAfterDashes : marker, 0}});
  }

  void check_words() {
    const Arguments* takes = arguments_of(command_.kind);
    if (takes == nullptr) return;
    if (words_.size() < takes->least || words_.size() > takes->most)
      return fail(words_.size() < takes->least ? "an argument is missing; write " + std::string(takes->usage)
                                               : "one argument too many; write " + std::string(takes->usage));
    for (const Given& given : command_.flags) {
      if (!asks_running(command_.kind) || given.setting->key != "control.socket")
        return fail(given.origin.name + " has no meaning for shoal " + topic_);
    }
    if (!asks_running(command_.kind) && !command_.file.empty()) return fail("-c has no meaning for shoal " + topic_);
    if (words_.empty()) return;
    if (words_[0].empty()) return fail("an empty argument; write " + std::string(takes->usage));
    command_.subject = words_[0];
    if (words_.size() > 1) command_.payload = words_[1];
  }

  void check_whole() {
    if (arguments_of(command_.kind) != nullptr) return check_words();
    const bool reads_settings = command_.kind == Command::Kind::kRun || command_.kind == Command::Kind::kConfigCheck ||
                                command_.kind == Command::Kind::kConfigPrint;
    if (!reads_settings && (!command_.flags.empty() || !command_.file.empty())) {
      const std::string first = command_.flags.empty() ? std::string("-c") : command_.flags[0].origin.name;
      return fail(first + " has no meaning for shoal " + (topic_ == "config" ? "config reference" : topic_));
    }
    if (command_.kind == Command::Kind::kRun && output_given_) {
      fail("-o has no meaning here: the program writes logs; see --log-format");
    }
  }

  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
  Command command_;
  std::string topic_;
  std::vector<std::string> words_;
  bool output_given_ = false;
  std::optional<UsageError> failed_;
};

}  // namespace

bool asks_running(Command::Kind kind) { return arguments_of(kind) != nullptr && kind != Kind::kKeygen; }

std::variant<Command, UsageError> parse_command_line(std::span<const std::string> arguments) {
  return Walk(arguments).run();
}

}  // namespace shoal::config
