// The command line: any list of arguments is a command or an error that says what is wrong; what it sets is judged like
// every other source.
#include <string>
#include <variant>

#include "base/check.h"
#include "config/cli.h"
#include "config/load.h"
#include "config/report.h"
#include "config/text.h"
#include "input.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal;
  using namespace shoal::config;
  const std::string all = fuzz::copy_of({data, size});
  std::vector<std::string> arguments;
  for (const std::string_view line : split(all, '\n')) arguments.emplace_back(line);
  if (arguments.size() > 64) return 0;
  const auto parsed = parse_command_line(arguments);
  if (const auto* error = std::get_if<UsageError>(&parsed)) {
    SHOAL_ASSERT(!error->message.empty() && error->exit_code != 0);
    return 0;
  }
  const Command& command = *std::get_if<Command>(&parsed);
  if (command.kind == Command::Kind::kHelp) SHOAL_ASSERT(!help_text(command.help_topic).empty());
  Sources sources;
  sources.flags = command.flags;
  sources.role = command.role;
  sources.role_needed = command.kind == Command::Kind::kRun;
  sources.hostname = "host-7";
  sources.random_hex = "0abcd";
  const Loaded loaded = load(sources);
  for (const Problem& problem : loaded.errors) SHOAL_ASSERT(!problem.text.empty());
  if (sources.role_needed && !command.role) SHOAL_ASSERT(!loaded.errors.empty());  // There is no file to name it.
  (void)values_text(loaded);
  return 0;
}
