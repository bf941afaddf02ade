#include "config/report.h"

#include <vector>

#include "config/text.h"
#include "config/values.h"

namespace shoal::config {
namespace {

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

/// What holds when nothing is said, for people.
std::string default_text(const Setting& setting) {
  return std::string(setting.fallback.empty() ? setting.otherwise : setting.fallback);
}

constexpr std::size_t kHelpColumn = 40;

std::string help_line(const std::string& left, std::string_view right) {
  const std::string start = "  " + left;
  // A long flag pushes its explanation to the next line.
  const std::string gap = start.size() + 2 > kHelpColumn ? "\n" + std::string(kHelpColumn, ' ')
                                                         : std::string(kHelpColumn - start.size(), ' ');
  return start + gap + std::string(right) + "\n";
}

std::string setting_help(const Setting& setting) {
  const bool repeatable = setting.type == Type::kList || setting.type == Type::kTags;
  std::string help(setting.help);
  if (repeatable) help += " Repeatable.";
  std::string out = help_line(flag_of(setting) + " " + std::string(setting.unit), help);
  // The default of server options is a line of its own length; `config reference` shows it whole.
  const std::string fallback = default_text(setting);
  const std::string shown = fallback.size() > 90 ? "see shoal config reference" : fallback;
  return out + std::string(kHelpColumn, ' ') + "Default: " + shown + "\n";
}

constexpr std::string_view kGeneralOptions =
    "  -c, --config FILE                     Read settings from FILE (TOML).\n"
    "  -h, --help                            Show this and exit.\n";

constexpr std::string_view kSources =
    "Settings come from, the later the stronger: defaults, the file, the environment (the key gossip.join is the\n"
    "variable SHOAL_GOSSIP_JOIN), flags. `shoal config reference` lists all of them.\n";

constexpr std::string_view kExitCodes =
    "Exit codes: 0 stopped as asked; the worker's own status (128+n for a signal); 64 usage; 78 bad settings;\n"
    "69 something required at start is unavailable; 70 a bug of shoal; 75 try again; 126/127 the worker (or HAProxy)\n"
    "cannot be executed / was not found.\n";

std::string role_help(Role role) {
  std::string out;
  if (role == Role::kTask) {
    out =
        "Usage: shoal task [flags] -- WORKER ARGS...\n"
        "       shoal task [flags] --worker WORKER ARGS...\n\n"
        "Starts a worker, gives it a listening socket, and announces it to the sidecars of the cluster.\n"
        "{addr}, {port} and {fd} in the worker's words are filled in; {{ is a brace.\n\n";
  } else {
    out =
        "Usage: shoal sidecar [flags] [-- HAPROXY ARGS...]\n\n"
        "Joins the cluster and keeps the servers of up to 8 HAProxies true through their runtime sockets. With a\n"
        "command after -- it starts that HAProxy too, restarts it when it crashes, stops it softly, and reloads it on\n"
        "SIGHUP.\n\n";
  }
  out += "Flags:\n" + std::string(kGeneralOptions);
  for (const Setting& setting : settings()) {
    if (!concerns_role(setting, role) || flag_of(setting).empty()) continue;
    // The timings are for the few; they stand in the reference.
    if (setting.key.substr(0, 14) == "gossip.timing.") continue;
    if (setting.type == Type::kCommand) continue;  // In the usage line.
    out += setting_help(setting);
    if (setting.key == "gossip.join") out += help_line("--join-srv NAME", "The same as --join srv:NAME.");
  }
  out += "  --gossip-timing-...                   Single timings; see shoal config reference.\n";
  return out + "\n" + std::string(kSources) + "\n" + std::string(kExitCodes);
}

constexpr std::string_view kTopHelp =
    "shoal: ephemeral tasks find HAProxy through serf gossip.\n\n"
    "Usage:\n"
    "  shoal task [flags] -- WORKER ARGS...  Run a worker and announce it.\n"
    "  shoal sidecar [flags]                 Keep HAProxy's servers true; runs beside HAProxy.\n"
    "  shoal sidecar [flags] -- HAPROXY ...  The same, and run HAProxy.\n"
    "  shoal -c FILE [flags]                 Run what the file's role says.\n"
    "  shoal health [--ready]                Exit 0 or 1, for a container's health check.\n"
    "  shoal status                          Show how a running shoal is.\n"
    "  shoal members                         Show the cluster as a running shoal sees it.\n"
    "  shoal keys list|install|use|remove    Change the keys of the whole cluster.\n"
    "  shoal keygen                          Make a key.\n"
    "  shoal event NAME [PAYLOAD]            Send an event to every member.\n"
    "  shoal force-leave NAME                Call a failed member gone for good.\n"
    "  shoal drain|maint NAME [--stop]       Take a task out of rotation in every HAProxy; --stop: end it, too.\n"
    "  shoal ready NAME                      Undo that.\n"
    "  shoal config check [-c FILE] [flags]  Check all settings and start nothing.\n"
    "  shoal config print [-c FILE] [flags]  Show each value and where it came from.\n"
    "  shoal config reference                Describe every setting.\n"
    "  shoal version                         Show the version.\n"
    "  shoal COMMAND --help                  Show the flags of a command.\n\n"
    "`-o json` gives what a command prints as JSON. Data goes to stdout, logs to stderr.\n\n";

constexpr std::string_view kConfigHelp =
    "Usage: shoal config check [sidecar|task] [-c FILE] [-o json] [flags]\n"
    "       shoal config print [sidecar|task] [-c FILE] [-o json] [flags]\n"
    "       shoal config reference [-o json]\n\n"
    "check      Reads all settings as a run would, says everything that is wrong, and starts nothing.\n"
    "           Exit code 0 or 78.\n"
    "print      Shows each value and where it came from, in the form of a settings file.\n"
    "reference  Describes every setting, in Markdown.\n\n"
    "Flags are those of shoal sidecar and shoal task.\n\n";

constexpr std::string_view kHealthHelp =
    "Usage: shoal health [--ready] [--timeout TIME] [-o json]\n\n"
    "Asks the running shoal, and exits 0 when it is healthy, 1 when it is not or does not answer, with no other code\n"
    "but 64; stderr says why not.\n"
    "For a container's health check, without a shell: HEALTHCHECK CMD [\"/usr/bin/shoal\", \"health\"].\n\n"
    "A task is healthy once it has been in rotation in health.min_proxies HAProxies, and then while its worker is: a\n"
    "HAProxy or a sidecar that is redeployed makes no task unhealthy. A sidecar is healthy when it answers; one that\n"
    "runs HAProxy too, once that has answered.\n\n"
    "  --ready                               The strict form: in rotation now, as the sidecars confirm; of a\n"
    "                                        sidecar, every HAProxy connected and compared lately.\n"
    "  --timeout TIME                        The longest wait for the answer, 1ms to 1m. Default: 1s\n\n";

constexpr std::string_view kStatusHelp =
    "Usage: shoal status [--timeout TIME] [-o json]\n\n"
    "Shows how the running shoal is: a task with its worker, its address and what each sidecar says of it; a sidecar\n"
    "with its HAProxies, their servers, and what is held in rotation.\n\n"
    "  --timeout TIME                        The longest wait for the answer, 1ms to 1m. Default: 5s\n\n";

constexpr std::string_view kMembersHelp =
    "Usage: shoal members [-o json]\n\n"
    "Shows every member that a running shoal knows: name, address, status, tags.\n\n";

constexpr std::string_view kKeysHelp =
    "Usage: shoal keys list [-o json]\n"
    "       shoal keys install KEY\n"
    "       shoal keys use KEY\n"
    "       shoal keys remove KEY\n\n"
    "list     Asks every member for its keys: how many have each, and how many encrypt with it.\n"
    "install  Gives every member one more key to decrypt with.\n"
    "use      Lets every member encrypt with an installed key.\n"
    "remove   Takes a key from every member; not the one in use.\n\n"
    "To change the key of a cluster: install the new one, use it, remove the old one, each when the one before has\n"
    "succeeded everywhere. It lasts over a restart where members have a gossip.keyring_file. A KEY in the command "
    "line\n"
    "is seen by everybody on the machine while the command runs: `-` reads it from stdin.\n\n"
    "    shoal keygen | tee new.key | shoal keys install -\n\n";

constexpr std::string_view kForceLeaveHelp =
    "Usage: shoal force-leave NAME [--prune]\n\n"
    "Tells the cluster that the failed member NAME has left for good. A member that lives contradicts.\n"
    "--prune lets everybody forget it at once, too.\n\n";

constexpr std::string_view kEventHelp =
    "Usage: shoal event NAME [PAYLOAD] [--coalesce]\n\n"
    "Sends a serf user event to every member. --coalesce: receivers may keep only the latest of that name.\n"
    "A PAYLOAD that begins with a dash goes after --.\n\n";

constexpr std::string_view kSteerHelp =
    "Usage: shoal drain NAME [--stop]\n"
    "       shoal maint NAME [--stop]\n"
    "       shoal ready NAME\n\n"
    "drain   Takes the task's server out of rotation in every HAProxy, in HAProxy's state drain: what a cookie or a\n"
    "        stick table binds to it still goes there.\n"
    "maint   The same in HAProxy's state maint: nothing goes there any more.\n"
    "ready   Undoes both.\n"
    "--stop  The task drains and stops, as on SIGTERM.\n\n"
    "NAME is a task's node name, or its server's name in HAProxy. Any member may be asked. The task keeps the wish,\n"
    "so that sidecars and HAProxies that come later keep to it; it ends with the task. `shoal members` shows it as\n"
    "the tag `wish`. What was set by hand on HAProxy's socket is undone there.\n\n";

constexpr std::string_view kKeygenHelp =
    "Usage: shoal keygen [-o json]\n\n"
    "Prints 32 random bytes in base64, a key for gossip.key or a keyring file.\n";

constexpr std::string_view kAskHelp =
    "Flags:\n"
    "  -c, --config FILE                     The settings of the shoal to ask (control.socket, role, gossip.bind).\n"
    "  --control-socket PATH|@NAME           Its control socket.\n"
    "  -o, --output json|text                How to print.\n"
    "  -h, --help                            Show this and exit.\n\n"
    "Without -c and --control-socket the one that runs on this machine is asked; of several, the one in the same\n"
    "container. Where that leaves several, they are named.\n\n"
    "Exit codes: 0 done; 1 refused, or not done by every member; 64 usage; 69 no shoal runs there; 75 no answer in\n"
    "time; 78 bad settings.\n";

std::string or_dash(const std::string& text) { return text.empty() ? "–" : "`" + text + "`"; }

/// "|" would end a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string limits_text(const Setting& setting) {
  if (setting.least == 0 && setting.most == 0) return {};
  if (setting.type == Type::kDuration) {
    return duration_text(Duration(setting.least)) + " to " + duration_text(Duration(setting.most));
  }
  return std::to_string(setting.least) + " to " + std::to_string(setting.most);
}

std::string_view concerns_text(Concerns concerns) {
  switch (concerns) {
    case Concerns::kBoth: return "both";
    case Concerns::kSidecar: return "sidecar";
    case Concerns::kTask: return "task";
  }
  SHOAL_UNREACHABLE();
}

std::string key_of(const Given& value) {
  return value.pool.empty() ? std::string(value.setting->key) : pool_options_key(value.pool);
}

std::string json_strings(const std::vector<Problem>& problems) {
  std::string out = "[";
  for (const Problem& problem : problems) out += (out.size() > 1 ? "," : "") + quoted(problem.text);
  return out + "]";
}

/// A value as JSON: a number, a string, or a list of strings ("name=value" for tags).
std::string json_value(const Given& value) {
  switch (value.setting->type) {
    case Type::kText:
    case Type::kChoice:
    case Type::kDuration:
    case Type::kInteger: return toml_value(*value.setting, value.words);
    case Type::kList:
    case Type::kTags:
    case Type::kCommand: {
      std::string out = "[";
      for (const std::string& word : value.words) out += (out.size() > 1 ? "," : "") + quoted(word);
      return out + "]";
    }
  }
  SHOAL_UNREACHABLE();
}

bool shown(const Setting& setting, const Loaded& loaded) {
  return !loaded.config.role || concerns_role(setting, *loaded.config.role);
}

}  // namespace

std::string help_text(std::string_view topic) {
  if (topic == "sidecar") return role_help(Role::kSidecar);
  if (topic == "task") return role_help(Role::kTask);
  if (topic == "config") return std::string(kConfigHelp) + std::string(kSources);
  if (topic == "version") return "Usage: shoal version [-o json]\n";
  if (topic == "health") return std::string(kHealthHelp) + std::string(kAskHelp);
  if (topic == "status") return std::string(kStatusHelp) + std::string(kAskHelp);
  if (topic == "members") return std::string(kMembersHelp) + std::string(kAskHelp);
  if (topic == "keys") return std::string(kKeysHelp) + std::string(kAskHelp);
  if (topic == "force-leave") return std::string(kForceLeaveHelp) + std::string(kAskHelp);
  if (topic == "event") return std::string(kEventHelp) + std::string(kAskHelp);
  if (topic == "drain" || topic == "ready" || topic == "maint") return std::string(kSteerHelp) + std::string(kAskHelp);
  if (topic == "keygen") return std::string(kKeygenHelp);
  return std::string(kTopHelp) + std::string(kSources) + "\n" + std::string(kExitCodes);
}

std::string reference_markdown() {
  std::string out = "# Settings of shoal\n\n" + std::string(kSources) +
                    "\nDurations are written `500ms`, `30s`, `1m30s`. In the environment a list is comma-separated, "
                    "`worker.command` is a JSON array, and an empty variable counts as not set. Flags of lists are "
                    "repeated.\n";
  std::string_view section;
  for (const Setting& setting : settings()) {
    const std::string_view here = setting.key.substr(
        0, setting.key.rfind('.') == std::string_view::npos ? setting.key.size() : setting.key.find('.'));
    if (here != section) {
      section = here;
      out += "\n## " + std::string(section) + "\n\n| key | flag | variable | value | default | for | meaning |\n" +
             "|---|---|---|---|---|---|---|\n";
    }
    const std::string limits = limits_text(setting);
    const std::string fallback =
        setting.fallback.empty() ? std::string(setting.otherwise) : "`" + std::string(setting.fallback) + "`";
    out += "| `" + std::string(setting.key) + "` | " + or_dash(flag_of(setting)) + " | " +
           or_dash(variable_of(setting)) + " | " + cell(setting.unit) + (limits.empty() ? "" : ", " + limits) + " | " +
           cell(fallback) + " | " + std::string(concerns_text(setting.concerns)) + " | " + cell(setting.help) + " |\n";
  }
  return out;
}

std::string reference_json() {
  std::string out = "[";
  for (const Setting& setting : settings()) {
    out += out.size() > 1 ? ",\n " : "\n ";
    out += "{\"key\":" + quoted(setting.key) + ",\"flag\":" + quoted(flag_of(setting)) +
           ",\"variable\":" + quoted(variable_of(setting)) + ",\"value\":" + quoted(setting.unit) +
           ",\"limits\":" + quoted(limits_text(setting)) + ",\"default\":" + quoted(setting.fallback) +
           ",\"otherwise\":" + quoted(setting.otherwise) + ",\"for\":" + quoted(concerns_text(setting.concerns)) +
           ",\"example\":" + quoted(setting.example) + ",\"help\":" + quoted(setting.help) + "}";
  }
  return out + "\n]\n";
}

std::string values_text(const Loaded& loaded) {
  std::string out;
  for (const Setting& setting : settings()) {
    if (!shown(setting, loaded)) continue;
    bool any = false;
    for (const Given& value : loaded.values) {
      if (value.setting != &setting) continue;
      any = true;
      const std::string start = setting.secret ? "# " : "";
      out += padded(start + key_of(value) + " = " + toml_value(setting, value.words), 60) + "  # " +
             to_text(value.origin) + "\n";
    }
    if (!any)
      out += padded("# " + std::string(setting.key), 60) + "  # default: " + std::string(setting.otherwise) + "\n";
  }
  return out;
}

std::string values_json(const Loaded& loaded) {
  std::string out = "{";
  for (const Given& value : loaded.values) {
    if (!shown(*value.setting, loaded)) continue;
    out += out.size() > 1 ? ",\n " : "\n ";
    out += quoted(key_of(value)) + ": {\"value\":" + (value.setting->secret ? "\"(secret)\"" : json_value(value)) +
           ",\"origin\":" + quoted(to_text(value.origin)) + "}";
  }
  return out + "\n}\n";
}

std::string check_json(const Loaded& loaded) {
  return std::string("{\"ok\":") + (loaded.errors.empty() ? "true" : "false") +
         ",\"errors\":" + json_strings(loaded.errors) + ",\"warnings\":" + json_strings(loaded.warnings) + "}\n";
}

}  // namespace shoal::config
