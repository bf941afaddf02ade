// The operator's gossip keys: from `gossip.key`, or from serf's keyring file, which is written again when a key query
// has changed the ring.
#pragma once

#include "base/result.h"
#include "config/config.h"
#include "serf/keyring_file.h"
#include "wire/keyring.h"

namespace shoal::app {

/// The first encrypts; none: gossip is plain. The error names the setting and the fix, and no key.
[[nodiscard]] Result<serf::KeyList> load_gossip_keys(const config::Gossip& gossip);
/// Writes the ring to the keyring file, mode 0600. REQUIRES: there is such a setting.
[[nodiscard]] Result<void> save_gossip_keys(const config::Gossip& gossip, const wire::Keyring& ring);

}  // namespace shoal::app
