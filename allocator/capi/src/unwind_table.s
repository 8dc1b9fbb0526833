// Landing pads of stratalloc_call_catching: one call site, caught by catch (...).
    .pushsection .gcc_except_table, "a", %progbits
    .p2align 2
.Lstratalloc_lsda:
    .byte 0xff                                               // landing pads count from the function
    .byte 0x9b                                               // type table: indirect, relative
    .uleb128 .Lstratalloc_types - .Lstratalloc_sites_header
.Lstratalloc_sites_header:
    .byte 0x01                                               // call sites are in uleb128
    .uleb128 .Lstratalloc_actions - .Lstratalloc_sites
.Lstratalloc_sites:
    .uleb128 .Lstratalloc_try - stratalloc_call_catching     // the call: start,
    .uleb128 .Lstratalloc_tried - .Lstratalloc_try           // length,
    .uleb128 .Lstratalloc_caught - stratalloc_call_catching  // landing pad,
    .uleb128 1                                               // first action
.Lstratalloc_actions:
    .byte 1                                                  // matches entry 1 of the type table,
    .byte 0                                                  // and there is no further action
    .p2align 2
    .long 0                                                  // entry 1: any type
.Lstratalloc_types:
    .popsection
