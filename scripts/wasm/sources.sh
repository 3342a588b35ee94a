# To be sourced: unpacks the pinned sources into $work.

. "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

fetch libz-sys 1.1.31 ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2
fetch libz-ng-sys 1.1.16 4436751a01da56f1277f323c80d584ffad94a3d14aecd959dd0dff75aa73a438
fetch libz-ng-sys 1.1.22 a7118c2c2a3c7b6edc279a8b19507672b9c4d716f95e671172dfa4e23f9fd824
fetch libz-ng-sys 1.1.23 7bf914b7dd154ca9193afec311d8e39345c1bd93b48b3faa77329f0db8f553c0
fetch libz-ng-sys 1.1.32 4d6f7f90c9e84e2716ee493ef7493995eb52772deb5ce12f960c13f6a90350a3
