/* vfork: told to process.c, then the next definition's, reached by a jump.
 *
 * It returns twice, the first time in the child, which then uses the stack from here on: a C function that calls it would
 * find its own frame overwritten. So nothing is left on the stack, and the next vfork returns to our caller. */

        .text
        .globl  vfork
        .type   vfork, %function
vfork:
        .cfi_startproc
#if defined(__x86_64__)
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    process_before_vfork
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        jmp     *%rax
#elif defined(__aarch64__)
        hint    34                      /* bti c: a call may land here */
        hint    25                      /* paciasp: the return address is signed while it lies on the stack */
        .cfi_negate_ra_state
        stp     x29, x30, [sp, -16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        bl      process_before_vfork
        ldp     x29, x30, [sp], 16
        .cfi_adjust_cfa_offset -16
        .cfi_restore 29
        .cfi_restore 30
        hint    29                      /* autiasp */
        .cfi_negate_ra_state
        mov     x16, x0
        br      x16
#elif defined(__i386__)
        subl    $12, %esp
        .cfi_adjust_cfa_offset 12
        call    process_before_vfork
        addl    $12, %esp
        .cfi_adjust_cfa_offset -12
        jmp     *%eax
#else
#error "connspread knows x86-64, i386 and arm64 only"
#endif
        .cfi_endproc
        .size   vfork, . - vfork

        .hidden process_before_vfork
        .hidden process_our_vfork
        .globl  process_our_vfork
        .set    process_our_vfork, vfork

#if defined(__aarch64__)
/* BTI and PAC: one object without this note would take the property from the whole library. */
        .section .note.gnu.property, "a"
        .balign 8
        .word   4, 16, 5
        .asciz  "GNU"
        .word   0xc0000000, 4, 3, 0
#endif

        .section .note.GNU-stack, "", %progbits
