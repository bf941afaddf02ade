// The commands that ask a running shoal: finding its control socket, one request, its answer for people or as JSON.
#pragma once

#include <string>
#include <vector>

#include "app/control_socket.h"
#include "base/result.h"
#include "base/time.h"
#include "config/cli.h"
#include "config/load.h"

namespace shoal::app {

/// What went to the outside and what the process exits with. 0 done, 1 refused or not done everywhere, 64 usage, 69 no
/// shoal to ask, 75 no answer in time.
struct ControlOutcome {
  int exit_code = 0;
  std::string out;                  // For stdout; may be empty.
  std::vector<std::string> errors;  // For stderr, one line each.
};

/// REQUIRES: config::asks_running(command.kind); `loaded` has no errors. Waits for the answer, ControlServer's longest
/// and some more. `key_input` is read when the key is "-".
[[nodiscard]] ControlOutcome run_control_command(const config::Command& command, const config::Loaded& loaded,
                                                 int key_input);

/// What an answer means for people. `status` and `body` are HTTP's.
[[nodiscard]] ControlOutcome tell_answer(const config::Command& command, int status, const std::string& body);

/// The places that fit the settings, out of those that somebody may listen on.
[[nodiscard]] std::vector<ControlPlace> fitting_places(const std::vector<std::string>& sockets,
                                                       const config::Loaded& loaded);

}  // namespace shoal::app
