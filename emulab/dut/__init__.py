"""The MLPerf Tiny DUT protocol: host client, measurement procedures, interface board."""
