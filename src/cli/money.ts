/** An amount, with what the network calls its money. */
export function money(amount: string, { currency }: { readonly currency: string }): string {
  return `${amount} ${currency}`;
}
